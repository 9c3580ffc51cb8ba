"""All that a server runs beside its requests, and the database that it needs."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sam_backend.errors import DatabaseError
from sam_backend.jobs.subprocess_worker import OwnWorker
from sam_backend.labelstudio.api.connections import Connections
from sam_backend.labelstudio.api.webhook_events import START_TRAINING, WebhookEvent
from sam_backend.monitoring.schedule import SurveySchedule
from sam_backend.monitoring.surveying import JOB_KIND as SURVEY_KIND
from sam_backend.projects.project import Project
from sam_backend.retraining.triggers import Triggers, count_through_api
from sam_backend.settings import Settings
from sam_backend.stages.policy_resolution import policy_of, retraining_cadence
from sam_backend.store.database import Database, open_database
from sam_backend.store.events import Events
from sam_backend.store.jobs import Job, Jobs
from sam_backend.versions.event_verifier import EventVerifier

log = logging.getLogger(__name__)

RETRY_S = 30.0
_PATIENCE_S = 5.0

Tell = Callable[[str, str], None]
"""Takes the subject and the reason of what goes wrong."""


class BackgroundServices:
    """Owns the server's database, worker process and background threads. Close it, or use `with`.

    The threads count new masks and order retrainings, verify events of webhooks, and order surveys;
    the worker runs what is queued. Clicks need no database: where it cannot be opened, the server
    answers without these services, and opening is tried again every `retry_s` seconds.

    Args:
        settings: Database, worker, and when to retrain.
        retry_s: Seconds between two tries to open the database.

    Raises:
        InvalidInputError: The database's address is wrong.
    """

    def __init__(self, settings: Settings, retry_s: float = RETRY_S) -> None:
        self._settings = settings
        self._retry_s = retry_s
        self._tell: Tell = lambda subject, reason: None
        self._failure = ""
        self._closed = threading.Event()
        self._opening = threading.Thread(target=self._open_later, name="database", daemon=True)
        self._parts = self._open()

    def start(self, report: Tell) -> None:
        """Start the threads and the worker, as the settings say. Call it once.

        Args:
            report: Told the subject and the reason of what goes wrong.
        """
        self._tell = report
        if self._parts is not None:
            self._parts.start()
        else:
            log.error("no background services until the database can be opened: %s", self._failure)
            report("retraining", f"it waits until the database can be opened: {self._failure}")
            self._opening.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def leave(self) -> None:
        """Ask the server's own worker to end, without waiting for it; `close` does."""
        if self._parts is not None and self._parts.worker is not None:
            self._parts.worker.leave()

    def close(self) -> None:
        """End the threads; a running job keeps what it has and goes back to the queue."""
        self._closed.set()
        if self._opening.is_alive():
            self._opening.join(_PATIENCE_S)
        if self._parts is not None:
            self._parts.close()

    def handle(self, event: WebhookEvent) -> None:
        """Act on an event of a webhook; returns at once.

        Raises:
            SamBackendError: Training was asked for and cannot be ordered.
        """
        if self._parts is not None:
            if event.project_id is not None:
                self._parts.verifier.hint(event.project_id)
            self._parts.triggers.handle(event)
        elif event.action == START_TRAINING:  # all else is counted once there is a database
            raise DatabaseError(self._failure)

    @property
    def database(self) -> Database | None:
        """The server's database, which closes with this object; None while it cannot be opened."""
        return None if self._parts is None else self._parts.database

    def newest_jobs(self, limit: int) -> list[Job]:
        """At most so many jobs, the newest first.

        Raises:
            DatabaseError: The database cannot be opened or read.
        """
        if self._parts is None:
            raise DatabaseError(self._failure)
        jobs = self._parts.jobs.list(limit=4 * limit)
        # surveys come often, and would push out what people have ordered
        return [job for job in jobs if job.kind != SURVEY_KIND or job.state != "done"][:limit]

    def _open(self) -> "_Parts | None":
        try:
            return _Parts.of(self._settings, lambda subject, reason: self._tell(subject, reason))
        except DatabaseError as error:
            self._failure = str(error)
            return None

    def _open_later(self) -> None:
        while not self._closed.wait(self._retry_s):
            try:
                parts = self._open()
            except Exception:  # the thread must outlive whatever a folder holds
                log.exception("the database cannot be opened")
                continue
            if parts is not None and not self._closed.is_set():
                parts.start()
                self._parts = parts
                log.info("the database is open: background services begin")
            if parts is not None:
                return


@dataclass(frozen=True, slots=True)
class _Parts:
    """What there is once the database is open."""

    database: Database
    jobs: Jobs
    triggers: Triggers
    verifier: EventVerifier
    surveys: SurveySchedule
    worker: OwnWorker | None

    @classmethod
    def of(cls, settings: Settings, tell: Tell) -> Self:
        database = open_database(settings)
        jobs, connections = Jobs(database), Connections.of(settings)
        triggers = Triggers(
            jobs,
            Events(database),
            lambda project: _cadence(settings, database, connections, project),
            settings.retrain_steps,
            settings.reconcile_s,
            connections.numbers,
            count_through_api(settings),
            tell,
        )
        options = ["--device", settings.device]
        options += ["--model", settings.model] if settings.model else []
        worker = OwnWorker(jobs.is_waiting, options, tell) if settings.own_worker else None
        surveys = SurveySchedule(
            jobs, database, connections.urls_by_number, settings.survey_s, tell
        )
        verifier = EventVerifier(settings, database, connections, tell)
        return cls(database, jobs, triggers, verifier, surveys, worker)

    def start(self) -> None:
        self.triggers.start()
        self.verifier.start()
        self.surveys.start()
        if self.worker is not None:
            self.worker.start()

    def close(self) -> None:
        self.triggers.close()
        self.verifier.close()
        self.surveys.close()
        if self.worker is not None:
            self.worker.close()
        self.database.close()


def _cadence(
    settings: Settings, database: Database, connections: Connections, project: int
) -> int | None:
    """After how many new masks a project is retrained."""
    if settings.retrain_every is not None:  # no need to know the stage
        return settings.retrain_every
    host = connections.host_of_number(project)
    return retraining_cadence(settings, policy_of(Project(settings, database, host, project)))
