"""Notices that another checkpoint was promoted, and has it served."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from sam_backend.errors import SamBackendError
from sam_backend.serving.champion import Champion
from sam_backend.serving.model_choice import ModelChoice

log = logging.getLogger(__name__)

_NEVER_LOOKED = object()


@dataclass(frozen=True, slots=True)
class Refused:
    """A champion that could not be served.

    Attributes:
        version: Version of the checkpoint; empty if not even that is known.
        reason: One sentence.
    """

    version: str
    reason: str


class ChampionWatch:
    """Looks at the store's champion now and then, and brings it into service, on its own thread.

    A look costs a few stats. A champion that cannot be served is tried once: the next try follows
    the next change of the champion or the store.

    Args:
        choice: Which checkpoint the settings and the store ask for.
        champion: Serves it.
        poll_s: Seconds between looks.
        report: Told why a champion cannot be served.
    """

    def __init__(
        self,
        choice: ModelChoice,
        champion: Champion,
        poll_s: float,
        report: Callable[[Refused], None],
    ) -> None:
        self._choice = choice
        self._champion = champion
        self._poll_s = poll_s
        self._report = report
        self._seen: object = _NEVER_LOOKED
        self._refused: Refused | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def refused(self) -> Refused | None:
        """The champion that is not served, and why; None if the champion is."""
        return self._refused

    def start(self) -> None:
        """Begin to look; a version that the settings pin is not watched."""
        if not self._choice.is_pinned:
            self._thread = threading.Thread(target=self._run, name="champion-watch", daemon=True)
            self._thread.start()

    def look(self) -> None:
        """One look; returns when a new champion is served or refused."""
        stamp = self._choice.stamp()
        if stamp == self._seen:
            return
        self._seen = stamp  # before the try, so that a champion that fails is not tried again
        version = ""
        try:
            checkpoint = self._choice.checkpoint()
            version = checkpoint.model_version
            self._champion.replace(checkpoint)
        except SamBackendError as error:
            self._refuse(Refused(version, str(error)))
        except Exception as error:  # the thread must outlive whatever a store holds
            log.exception("the champion %s cannot be served", version)
            self._refuse(Refused(version, f"internal error {type(error).__name__}, see the log"))
        else:
            self._refused = None

    def close(self) -> None:
        """End the thread; close the champion first, for it may wait for that."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _refuse(self, refused: Refused) -> None:
        if not self._stop.is_set():
            self._refused = refused
            self._report(refused)

    def _run(self) -> None:
        while not self._stop.wait(self._poll_s):
            self.look()
