"""What webhooks tell is asked of Label Studio, in the background, before it counts."""

import logging
import threading
from collections.abc import Callable, Iterable

from sam_backend.errors import SamBackendError
from sam_backend.labelstudio.api.connections import Connections
from sam_backend.projects.project import Project
from sam_backend.settings import Settings
from sam_backend.store.database import Database
from sam_backend.versions.reading import verify_events

log = logging.getLogger(__name__)

_GATHER_S = 0.2
"""Events come in bursts: what comes within so many seconds is asked about together."""
_GRACE_S = 5.0


class EventVerifier:
    """Verifies events of all projects, on a thread of its own. Close it.

    What cannot be asked about stays unverified in the log, also when this process ends: it is asked
    again with the project's next event, and every `reconcile_s` seconds of the settings.

    Args:
        settings: The settings of this process.
        database: Where the log is.
        connections: Which Label Studio a project is of.
        tell: Told the subject and the reason of what goes wrong.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        connections: Connections,
        tell: Callable[[str, str], None],
    ) -> None:
        self._settings = settings
        self._database = database
        self._connections = connections
        self._tell = tell
        self._lock = threading.Lock()
        self._hinted: set[int] = set()
        self._failures: dict[int, str] = {}
        self._verified: dict[tuple[str, int], int] = {}
        self._wake, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-verifier", daemon=True)

    def start(self) -> None:
        """Begin, with what an earlier process has left unverified."""
        with self._lock:
            self._hinted.update(self._connections.numbers())
        self._wake.set()
        self._thread.start()

    def close(self) -> None:
        """End the thread; a call to a slow Label Studio is not waited for."""
        self._closed.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_GRACE_S)

    def hint(self, project: int) -> None:
        """An event of this project was written into the log; returns at once."""
        with self._lock:
            self._hinted.add(project)
        self._wake.set()

    def verify(self, projects: Iterable[int]) -> None:
        """Verify what events have told of these projects; what goes wrong is told."""
        for number in projects:
            failure = ""
            try:
                host = self._connections.host_of_number(number)
                with Project(self._settings, self._database, host, number) as project:
                    self._verify(project)
            except SamBackendError as error:
                failure = str(error)
            except Exception:  # the thread must outlive whatever Label Studio answers
                log.exception("project %d: its events cannot be verified", number)
                failure = "internal error, see the log"
            if failure and failure != self._failures.get(number):  # not with each event again
                self._tell(f"project {number}: events wait to be verified", failure)
            self._failures[number] = failure

    def _verify(self, project: Project) -> None:
        """Verify what was told since the last time that nothing was left."""
        revisions = project.revisions
        place = project.host.url, project.id
        since = self._verified.get(place, 0)
        until = revisions.last_number()  # a project's events are written one after the other
        if revisions.pending(revisions.mark(), since):
            verify_events(project, since)
        self._verified[place] = until

    def _run(self) -> None:
        while not self._closed.is_set():
            is_hinted = self._wake.wait(self._settings.reconcile_s)
            self._closed.wait(_GATHER_S)
            self._wake.clear()
            with self._lock:
                due, self._hinted = self._hinted, set()
            if not self._closed.is_set():
                self.verify(sorted(due) if is_hinted else self._connections.numbers())
