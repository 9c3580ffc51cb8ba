"""The champion being served: replaced by the next one without a request noticing."""

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from sam_backend.errors import ModelStoreError
from sam_backend.sam.device import DeviceOwner
from sam_backend.sam.embeddings import EmbeddingCache
from sam_backend.sam.single_flight import EncodeCounts, SharedEncodes
from sam_backend.serving.served_model import Checkpoint, ServedModel

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChampionView:
    """Which models there are at one moment, for status pages.

    Attributes:
        served: Answers new requests.
        loading: Version that will take its place once it is loaded; None without.
        finishing: Versions that still answer requests begun before they were replaced.
    """

    served: ServedModel
    loading: str | None
    finishing: tuple[str, ...]


class Champion:
    """The model that answers, and its orderly replacement. Safe under threads.

    A request takes a lease and uses that model from its first embedding to its last mask, whatever
    is promoted meanwhile: one model's embedding means nothing to another's decoder. All models
    share one owner of the device, so that a swap never makes two of them compute at once, and one
    book of encodes, whose keys hold the version.

    Args:
        first: Served from the start; loaded in the background.
        cache: Where embeddings are kept.

    Attributes:
        device: Runs all models.
        encodes: Keeps and makes embeddings of all models.
    """

    def __init__(self, first: Checkpoint, cache: EmbeddingCache) -> None:
        self.device = DeviceOwner()
        self.encodes = SharedEncodes(cache, self.device)
        self._changed = threading.Condition()
        self._leases: Counter[ServedModel] = Counter()
        self._served = ServedModel(first, self.device, self.encodes)
        self._next: ServedModel | None = None
        self._closed = False

    @property
    def model_version(self) -> str:
        """Of the model that answers new requests."""
        return self._served.model_version

    @property
    def encode_counts(self) -> EncodeCounts:
        """How requests for embeddings were answered so far, by all models."""
        return self.encodes.counts

    def view(self) -> ChampionView:
        """Which models there are now."""
        with self._changed:
            return ChampionView(
                served=self._served,
                loading=None if self._next is None else self._next.model_version,
                finishing=tuple(model.model_version for model in self._finishing()),
            )

    @contextmanager
    def lease(self) -> Iterator[ServedModel]:
        """The model for one request; it stays usable until the block ends."""
        with self._changed:
            model = self._served
            self._leases[model] += 1
        try:
            yield model
        finally:
            self._give_back(model)

    def replace(self, checkpoint: Checkpoint) -> None:
        """Load a checkpoint beside the served one and let it take over; for one thread.

        Waits until it is loaded, and before that until an earlier champion has answered its last
        request: there is never more than one model too many in memory.

        Raises:
            ModelStoreError: It cannot be loaded, or this is closed; the served one goes on.
        """
        with self._changed:
            served = self._served
        if served.model_version == checkpoint.model_version and served.state != "failed":
            return
        served.wait()
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._finishing())
            if self._closed:
                raise ModelStoreError("the server is stopping")
            following = self._next = ServedModel(checkpoint, self.device, self.encodes)
        following.wait()
        with self._changed:
            self._next = None
            if following.failure is not None:
                raise ModelStoreError(following.failure)
            self._served = following
            is_idle = not self._leases[served]
        log.info("serving %s in place of %s", following.model_version, served.model_version)
        if is_idle:
            self._retire(served)

    def close(self) -> None:
        """End the device's thread; work that waits is cancelled, who waits for a model is told."""
        with self._changed:
            self._closed = True
            models = [self._served, *self._finishing()]
            models += [] if self._next is None else [self._next]
            self._changed.notify_all()
        for model in models:
            model.close("the server is stopping")
        self.device.close()

    def _give_back(self, model: ServedModel) -> None:
        with self._changed:
            self._leases[model] -= 1
            is_last = not self._leases[model]
            if is_last:
                del self._leases[model]
            is_replaced = model is not self._served
        if is_last and is_replaced:
            self._retire(model)

    def _retire(self, model: ServedModel) -> None:
        model.close("it was replaced")
        torch.cuda.empty_cache()  # nothing on a machine without CUDA
        log.info("%s has answered its last request", model.model_version)
        with self._changed:
            self._changed.notify_all()

    def _finishing(self) -> list[ServedModel]:
        return [model for model in self._leases if model is not self._served]
