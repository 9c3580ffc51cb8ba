"""When projects are surveyed: those in a stage, where something has happened since."""

import logging
import threading
from collections.abc import Callable, Mapping

from sam_backend.errors import SamBackendError
from sam_backend.monitoring.surveying import order_survey
from sam_backend.projects.measured import LotVerdict, Surveyed
from sam_backend.store.database import Database
from sam_backend.store.jobs import Jobs
from sam_backend.store.measurements import Measurements
from sam_backend.store.revisions import Revisions
from sam_backend.store.stage_moves import StageMoves

log = logging.getLogger(__name__)

_PATIENCE_S = 5.0


class SurveySchedule:
    """Orders surveys as time passes. Close it, or use it within something that does.

    Args:
        jobs: The queue.
        database: Knows what was labelled, and what was measured.
        projects: Known now: the address of its Label Studio by number.
        every_s: Seconds between two looks.
        report: Told subject and reason of what goes wrong.
    """

    def __init__(
        self,
        jobs: Jobs,
        database: Database,
        projects: Callable[[], Mapping[int, str]],
        every_s: float,
        report: Callable[[str, str], None],
    ) -> None:
        self._jobs, self._database, self._projects = jobs, database, projects
        self._every_s, self._report = every_s, report
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="surveys", daemon=True)

    def start(self) -> None:
        """Begin to look, on a thread of its own."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE_S)

    def look(self) -> list[int]:
        """Order what is due; returns the projects."""
        due = [number for number, host in self._projects().items() if self._is_due(host, number)]
        for number in due:
            order_survey(self._jobs, number)
        return due

    def _is_due(self, host: str, project: int) -> bool:
        """A survey reads all that was prefilled or is gold: it is for projects that need it."""
        if StageMoves(self._database, host, project).current() is None:
            return False
        measurements = Measurements(self._database, host, project)
        last = measurements.newest(Surveyed.KIND)
        newest = Revisions(self._database, host, project).last_number()
        if last is None or newest > Surveyed.of(last).revision:
            return True
        return any(lot.at > last.at for lot in measurements.of_all_projects(LotVerdict.KIND)[:1])

    def _run(self) -> None:
        while not self._closed.wait(self._every_s):
            try:
                self.look()
            except SamBackendError as error:
                self._report("surveys", str(error))
            except Exception:  # the thread must outlive what a database holds
                log.exception("projects cannot be surveyed")
