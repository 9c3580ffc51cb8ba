"""One encode for everybody who asks for the same image at the same time."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field, replace

from sam_backend.sam.device import DeviceOwner, Priority
from sam_backend.sam.embeddings import EmbeddingCache, EmbeddingKey
from sam_backend.sam.types import Embedding

log = logging.getLogger(__name__)

Encode = Callable[[], Embedding]
"""Makes an embedding, on the device's thread."""
Prepare = Callable[[], Encode]
"""What can be done without the device (reading and resizing an image), on the asker's thread."""


@dataclass(slots=True, eq=False)
class _Flight:
    """A lookup or encode under way.

    Attributes:
        priority: The most urgent one that was asked for.
        result: What everybody waits for.
        encode: Makes the embedding, once the cache was asked in vain.
        job: The device's future from then on.
    """

    priority: Priority
    result: "Future[Embedding]" = field(default_factory=Future)
    encode: Encode | None = None
    job: "Future[Embedding] | None" = None


@dataclass(frozen=True, slots=True)
class EncodeCounts:
    """How requests were answered since the start, for status pages."""

    cached: int = 0
    encoded: int = 0
    joined: int = 0
    failed: int = 0


class SharedEncodes:
    """Gets embeddings from the cache or has them made, each only once at a time.

    A request that is more urgent than the one that queued the encode moves it forward.
    """

    def __init__(self, cache: EmbeddingCache, device: DeviceOwner) -> None:
        self._cache = cache
        self._device = device
        # re-entrant: cancelling a job calls its callbacks on this thread
        self._lock = threading.RLock()
        self._flights: dict[EmbeddingKey, _Flight] = {}
        self._counts = EncodeCounts()

    @property
    def counts(self) -> EncodeCounts:
        """How requests were answered so far."""
        return self._counts

    def get_or_encode(
        self,
        key: EmbeddingKey,
        prepare: Prepare,
        priority: Priority = Priority.CLICK,
        is_valid: Callable[[Embedding], bool] = lambda embedding: True,
    ) -> Embedding:
        """Waits for the embedding; what `prepare` or the encode raises is raised here.

        Args:
            key: What it is stored under.
            prepare: Makes what the encode needs; called if the cache has none.
            priority: Who waits.
            is_valid: Whether one from the cache, which others may share, can be used.

        Raises:
            concurrent.futures.CancelledError: The device was closed.
        """
        return self.start(key, prepare, priority, is_valid).result()

    def start(
        self,
        key: EmbeddingKey,
        prepare: Prepare,
        priority: Priority = Priority.BACKGROUND,
        is_valid: Callable[[Embedding], bool] = lambda embedding: True,
    ) -> "Future[Embedding]":
        """Like `get_or_encode`, but waits only for the cache and, if that is in vain, `prepare`.

        Returns:
            A future shared by all who asked for this key; it cannot be cancelled.
        """
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None:
                self._count("joined")
                self._hurry(key, flight, priority)
                return flight.result
            flight = self._flights[key] = _Flight(priority)
            flight.result.set_running_or_notify_cancel()
        # Those who come from here on wait for this flight, whose entry goes only after the cache
        # has the embedding: nobody can slip between lookup and encode.
        try:
            cached = self._cache.get(key)
            if cached is not None and not is_valid(cached):
                log.warning("ignoring a cached embedding of another model's shape: %s", key)
                cached = None
            if cached is None:
                encode = prepare()
        except BaseException as error:
            self._land(key, flight, error, "failed")
            raise
        if cached is not None:
            self._land(key, flight, cached, "cached")
        else:
            with self._lock:
                self._submit(key, flight, encode)
        return flight.result

    def _hurry(self, key: EmbeddingKey, flight: _Flight, priority: Priority) -> None:
        if priority >= flight.priority:
            return
        flight.priority = priority
        job, encode = flight.job, flight.encode
        if job is None or encode is None:
            return  # not submitted yet; the new priority counts when it is
        flight.job = None
        if job.cancel():
            self._submit(key, flight, encode)
        else:
            flight.job = job  # it runs already

    def _submit(self, key: EmbeddingKey, flight: _Flight, encode: Encode) -> None:
        flight.encode = encode
        try:
            job = self._device.submit(lambda: self._encode(key, encode), flight.priority, "encode")
        except RuntimeError as error:
            self._land(key, flight, error, "failed")
            return
        flight.job = job
        job.add_done_callback(lambda done: self._done(key, flight, done))

    def _encode(self, key: EmbeddingKey, encode: Encode) -> Embedding:
        embedding = encode()
        self._cache.put(key, embedding)
        return embedding

    def _done(self, key: EmbeddingKey, flight: _Flight, job: "Future[Embedding]") -> None:
        if not job.cancelled():
            error = job.exception()
            outcome = job.result() if error is None else error
            self._land(key, flight, outcome, "encoded" if error is None else "failed")
        elif flight.job is job:  # cancelled by the device's close, not by `_hurry`
            self._land(key, flight, None, "failed")

    def _land(
        self,
        key: EmbeddingKey,
        flight: _Flight,
        outcome: Embedding | BaseException | None,
        count: str,
    ) -> None:
        with self._lock:
            self._flights.pop(key, None)
            self._count(count)
        if isinstance(outcome, Embedding):
            flight.result.set_result(outcome)
        else:
            flight.result.set_exception(outcome or CancelledError("the device was closed"))

    def _count(self, what: str) -> None:
        self._counts = replace(self._counts, **{what: getattr(self._counts, what) + 1})
