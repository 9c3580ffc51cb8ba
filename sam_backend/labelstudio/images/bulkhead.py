"""A bulkhead for downloads: a host that hangs holds some of the threads, never all of them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sam_backend.errors import ImageFetchError
from sam_backend.labelstudio.api.hosts import Origin


@dataclass(slots=True)
class _Host:
    """What is under way at one host."""

    running: int = 0
    waiting: int = 0
    changed_at: float = 0.0
    changed: threading.Condition = field(default_factory=threading.Condition)


class Bulkhead:
    """Lets a bounded number of downloads from one host run at once. Safe under threads.

    Others wait for their turn for as long as downloads from that host end; where none ends for
    `patience_s`, the host hangs, and whoever waits gives up instead of filling the pool of threads.

    Args:
        at_once: Downloads from one host at a time.
        patience_s: Seconds without a download that ended, after which waiting is given up.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        at_once: int = 16,
        patience_s: float = 4.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._at_once = at_once
        self._patience_s = patience_s
        self._clock = clock
        self._lock = threading.Lock()
        self._hosts: dict[Origin | None, _Host] = {}

    @contextmanager
    def turn(self, origin: Origin | None) -> Iterator[None]:
        """One download from a host.

        Raises:
            ImageFetchError: The host hangs.
        """
        with self._lock:
            host = self._hosts.setdefault(origin, _Host())
            host.waiting += 1  # known to be in use, so that nobody forgets it
        try:
            self._enter(host, origin)
            try:
                yield
            finally:
                with host.changed:
                    host.running -= 1
                    host.changed_at = self._clock()
                    host.changed.notify()
        finally:
            with self._lock:
                host.waiting -= 1
                if not host.waiting:
                    del self._hosts[origin]

    def _enter(self, host: _Host, origin: Origin | None) -> None:
        with host.changed:
            begun = self._clock()
            while host.running >= self._at_once:
                left_s = max(host.changed_at, begun) + self._patience_s - self._clock()
                if left_s <= 0:
                    raise ImageFetchError(
                        f"{origin} hangs: {host.running} images are being fetched from there, and "
                        f"none has come for {self._patience_s:g} s"
                    )
                host.changed.wait(left_s)
            host.running += 1
