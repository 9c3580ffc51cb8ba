"""When a project's model is retrained: somebody presses the button, or enough masks are new.

Label Studio may tell an event twice, late or never. So events are only hints: each is acted on
once, what is new is counted through the API, and all known projects are looked at now and then
without any event.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from sam_backend.errors import LabelStudioError, SamBackendError
from sam_backend.labelstudio.api.annotations import HumanMasks, count_human_masks
from sam_backend.labelstudio.api.webhook_events import START_TRAINING, WebhookEvent
from sam_backend.projects.project import client_of_project
from sam_backend.retraining.request import JOB_KIND, RetrainingRequest
from sam_backend.settings import Settings
from sam_backend.store.events import Events
from sam_backend.store.jobs import Job, Jobs

log = logging.getLogger(__name__)

KEPT = timedelta(days=30)
"""Events are remembered for so long; Label Studio does not repeat one later."""
SPACING_S = 10.0
"""Looks are at least so far apart: a team submits faster than a project should be counted."""
_PATIENCE_S = 5.0

CountMasks = Callable[[int, datetime | None], HumanMasks]


class Triggers:
    """Turns events, and the passing of time, into retraining jobs. Close it, or use `with`.

    Args:
        jobs: The queue.
        events: Those seen before.
        every: After how many new human masks a project is retrained; None: only when asked.
        steps: Number of steps of each retraining at the most; None: as many as its plan has.
        reconcile_s: Seconds between two looks at all known projects.
        projects: Numbers of the projects known now.
        count_masks: Human masks of a project that are newer than a moment.
        report: Told why a project cannot be looked at.
        now: The clock, UTC.
        spacing_s: Seconds between two looks at the least.
    """

    def __init__(
        self,
        jobs: Jobs,
        events: Events,
        every: Callable[[int], int | None],
        steps: int | None,
        reconcile_s: float,
        projects: Callable[[], Iterable[int]],
        count_masks: CountMasks,
        report: Callable[[str, str], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        spacing_s: float = SPACING_S,
    ) -> None:
        self._jobs = jobs
        self._events = events
        self._every = every
        self._steps = steps
        self._reconcile_s = reconcile_s
        self._projects = projects
        self._count_masks = count_masks
        self._report = report
        self._now = now
        self._lock = threading.Lock()
        self._hinted: set[int] = set()
        self._wake = threading.Event()
        self._spacing_s = spacing_s
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look at projects, on a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="retraining", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE_S)  # a call to a slow Label Studio goes with the process

    def handle(self, event: WebhookEvent) -> None:
        """Act on an event; returns at once.

        Raises:
            SamBackendError: Training was asked for and cannot be ordered.
        """
        if event.action == START_TRAINING:
            if event.project_id is None:
                raise LabelStudioError("START_TRAINING names no project: the webhook must send it")
            told = {"project": event.project_id, "steps": self._steps}
            self.request(RetrainingRequest.parse(told))
            self._is_new(event)
        elif event.project_id is None:
            return
        elif event.action.startswith("ANNOTATION") and self._is_new(event):
            with self._lock:
                self._hinted.add(event.project_id)
            self._wake.set()

    def request(self, request: RetrainingRequest) -> Job:
        """Queue a retraining, unless the same one waits or runs already."""
        payload = request.model_dump(mode="json", exclude_none=True)
        job = self._jobs.enqueue(JOB_KIND, payload, request.project, request.dedupe_key)
        log.info("retraining of project %s is job %d", request.project, job.id)
        return job

    def look(self, project: int) -> Job | None:
        """Count a project's new masks and request a retraining if they are enough.

        Raises:
            LabelStudioError: They cannot be counted.
        """
        every = self._every(project)
        if every is None:
            return None
        new = self._count_masks(project, self._last_looked_at(project))
        if new.count < every:
            return None
        log.info("project %d has %d new masks", project, new.count)
        return self.request(
            RetrainingRequest(project=project, steps=self._steps, masks_until=new.newest)
        )

    def _last_looked_at(self, project: int) -> datetime | None:
        """The newest mask that an earlier retraining has seen, whatever became of it."""
        for job in self._jobs.list(kind=JOB_KIND, project=project, limit=1):
            request = RetrainingRequest.parse(dict(job.payload))
            return request.masks_until or job.created_at
        return None

    def _is_new(self, event: WebhookEvent) -> bool:
        return self._events.record(event.key, event.action, event.project_id, self._now())

    def _run(self) -> None:
        while True:
            is_hinted = self._wake.wait(self._reconcile_s)
            if self._closed.is_set():
                return
            self._wake.clear()
            with self._lock:
                due, self._hinted = self._hinted, set()
            self._look_at(due if is_hinted else self._projects())
            self._closed.wait(self._spacing_s)

    def _look_at(self, projects: Iterable[int]) -> None:
        for project in projects:
            try:
                self.look(project)
            except SamBackendError as error:
                self._report(f"project {project}: counting new masks", str(error))
            except Exception:  # the thread must outlive what a database or a project holds
                log.exception("project %d: new masks cannot be counted", project)
        try:
            self._events.prune(self._now() - KEPT)
        except Exception:
            log.exception("old events cannot be forgotten")


def count_through_api(settings: Settings) -> CountMasks:
    """Counts masks with the address and token that the settings or /setup have told."""

    def count(project: int, since: datetime | None) -> HumanMasks:
        with client_of_project(settings, project) as client:
            return count_human_masks(client, project, since)

    return count
