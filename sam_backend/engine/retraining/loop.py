"""The loop as a server runs it: events in, jobs in the queue, a worker of its own."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from sam_backend.engine.events import WebhookEvent
from sam_backend.engine.own_worker import OwnWorker
from sam_backend.engine.retraining.triggers import Triggers, count_through_api
from sam_backend.labelstudio.connections import Connections
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.events import Events
from sam_backend.store.jobs import Jobs


class RetrainingLoop:
    """Turns what Label Studio tells into retrainings. Close it, or use `with`.

    Args:
        settings: Database, worker, and when to retrain.

    Attributes:
        jobs: The queue.

    Raises:
        SamBackendError: The database cannot be opened.
    """

    def __init__(self, settings: Settings) -> None:
        self._database = open_database(settings)
        self.jobs = Jobs(self._database)
        self._connections = Connections.of(settings)
        self._report: Callable[[str, str], None] = lambda subject, reason: None
        self._triggers = Triggers(
            self.jobs,
            Events(self._database),
            settings.retrain_every,
            settings.retrain_steps,
            settings.reconcile_s,
            self._known_projects,
            count_through_api(settings),
            lambda subject, reason: self._report(subject, reason),
        )
        self._worker = (
            OwnWorker(self.jobs.is_waiting, settings.device) if settings.own_worker else None
        )

    def start(self, report: Callable[[str, str], None]) -> None:
        """Begin to count masks and to run jobs, as the settings say.

        Args:
            report: Told the subject and the reason of what goes wrong.
        """
        self._report = report
        self._triggers.start()
        if self._worker is not None:
            self._worker.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the threads; a running job keeps what it has and goes back to the queue."""
        self._triggers.close()
        if self._worker is not None:
            self._worker.close()
        self._database.close()

    def handle(self, event: WebhookEvent) -> None:
        """Act on an event of a webhook; returns at once.

        Raises:
            SamBackendError: Training was asked for and cannot be ordered.
        """
        self._triggers.handle(event)

    def _known_projects(self) -> list[int]:
        numbers = (uid.partition(".")[0] for uid in self._connections.projects())
        return sorted({int(number) for number in numbers if number.isdigit()})
