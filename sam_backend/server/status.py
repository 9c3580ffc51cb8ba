"""The status report: everything worth knowing about this process, and no token."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sam_backend.errors import SamBackendError
from sam_backend.labelstudio.api.connections import Connections
from sam_backend.server.journal import Journal
from sam_backend.serving.champion_watch import ChampionWatch
from sam_backend.serving.factory import MEGABYTE, STARTER_NOTE, Caches, is_starter
from sam_backend.serving.served_models import ProjectChoice, ServedModels
from sam_backend.store.jobs import Job
from sam_backend.store.models import ModelStore

N_CHAMPIONS = 5
N_JOBS = 10


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """The served model.

    Attributes:
        state: loading, ready or failed.
        version: Model version.
        family: Family of its checkpoint.
        licence: Licence of its checkpoint.
        source: Where the checkpoint is from.
        failure: Why it failed, or "none".
        loading_next: Version that is being loaded, or "none".
        answering_last_requests: Versions that end what they have begun, or "none".
        not_served: Version that was refused, and why, or "none".
        note: What an administrator should know of the model; may be empty.
    """

    state: str
    version: str
    family: str
    licence: str
    source: str
    failure: str
    loading_next: str
    answering_last_requests: str
    not_served: str
    note: str


@dataclass(frozen=True, slots=True)
class LoadedStatus:
    """A model in memory.

    Attributes:
        version: Model version.
        family: Family of its checkpoint.
        state: loading, ready or failed.
        memory_mb: Memory that its weights take.
        is_default: True if it answers the projects that name no model.
        projects: Unique ids of the projects that name it.
    """

    version: str
    family: str
    state: str
    memory_mb: float
    is_default: bool
    projects: Sequence[str]


@dataclass(frozen=True, slots=True)
class ProjectModelStatus:
    """A project that names a model of its own.

    Attributes:
        project: Unique id of the project.
        names: The version or family that it names.
        named_by: Who named it.
        answered_by: Model version that answers the project.
        problem: Why it is not the named one; empty if it is.
    """

    project: str
    names: str
    named_by: str
    answered_by: str
    problem: str


@dataclass(frozen=True, slots=True)
class ChampionStatus:
    """A change of the champion.

    Attributes:
        at: When, UTC.
        action: promotion or rollback.
        version: The new champion.
        by: Who decided.
        reason: Why.
    """

    at: str
    action: str
    version: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job.

    Attributes:
        id: Number of the job.
        kind: What is done.
        project: Number of the project; empty without one.
        state: State of the job; stopping while it runs and was cancelled.
        progress: How far it is, what came out, or why it failed.
        at: When it ended; else when it started or was ordered; UTC.
    """

    id: str
    kind: str
    project: str
    state: str
    progress: str
    at: str


@dataclass(frozen=True, slots=True)
class WorkStatus:
    """The device's work.

    Attributes:
        waiting: Pieces of work that wait for the device.
        device_busy_s: Time that the device has worked since the start.
    """

    waiting: int
    device_busy_s: float


@dataclass(frozen=True, slots=True)
class EmbeddingsStatus:
    """The embeddings, and how they were had since the start.

    Attributes:
        in_memory: Number of embeddings in memory.
        memory_mb: Memory that they take.
        redis: Whether Redis is connected.
        from_cache: Number of embeddings that a cache had.
        encoded: Number of embeddings that the model made.
        shared: Number of requests that waited for the embedding of another one.
        failed: Number of embeddings that could not be had.
    """

    in_memory: int
    memory_mb: float
    redis: str
    from_cache: int
    encoded: int
    shared: int
    failed: int


@dataclass(frozen=True, slots=True)
class EntryStatus:
    """An entry of the journal.

    Attributes:
        at: When, UTC.
        level: warning or error.
        subject: What it is about.
        reason: What went wrong.
    """

    at: str
    level: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class Status:
    """Everything worth knowing about this process, and no token.

    Attributes:
        model: The served model.
        models: All models in memory.
        project_models: The projects that name a model of their own.
        champions: The last changes of the champion, newest first.
        jobs: The newest jobs.
        jobs_failure: Why jobs cannot be listed; empty if they can.
        work: The device's work.
        embeddings: Embeddings and their caches.
        projects: Addresses of Label Studio by the project's unique id.
        journal: What went wrong lately, newest first.
    """

    model: ModelStatus
    models: Sequence[LoadedStatus]
    project_models: Sequence[ProjectModelStatus]
    champions: Sequence[ChampionStatus]
    jobs: Sequence[JobStatus]
    jobs_failure: str
    work: WorkStatus
    embeddings: EmbeddingsStatus
    projects: Mapping[str, Sequence[str]]
    journal: Sequence[EntryStatus]


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Makes the status out of the parts of a service."""

    models: ServedModels
    project_choices: Callable[[], dict[str, ProjectChoice]]
    watch: ChampionWatch
    caches: Caches
    connections: Connections
    journal: Journal
    store: ModelStore
    newest_jobs: Callable[[int], Sequence[Job]]

    def make(self) -> Status:
        """Return the status at this moment."""
        choices = self.project_choices()
        champion = self.models.champion
        device, counts = champion.device, champion.encode_counts
        memory, redis = self.caches.memory, self.caches.redis
        jobs, jobs_failure = self._jobs()
        return Status(
            model=self._model(),
            models=self._models(choices),
            project_models=self._project_models(choices),
            champions=self._champions(),
            jobs=jobs,
            jobs_failure=jobs_failure,
            work=WorkStatus(device.queue_length, round(device.busy_s, 1)),
            embeddings=EmbeddingsStatus(
                in_memory=len(memory),
                memory_mb=round(memory.n_bytes / MEGABYTE, 1),
                redis="not set" if redis is None else _availability(redis.is_available),
                from_cache=counts.cached,
                encoded=counts.encoded,
                shared=counts.joined,
                failed=counts.failed,
            ),
            projects=self.connections.projects(),
            journal=[
                EntryStatus(_seconds(entry.at), entry.level, entry.subject, entry.reason)
                for entry in self.journal.entries()
            ],
        )

    def _model(self) -> ModelStatus:
        view, refused = self.models.champion.view(), self.watch.refused
        card = view.served.checkpoint.card
        return ModelStatus(
            state=view.served.state,
            version=view.served.model_version,
            family=card.family,
            licence=card.licence,
            source=card.source,
            failure=view.served.failure or "none",
            loading_next=view.loading or "none",
            answering_last_requests=", ".join(view.finishing) or "none",
            not_served="none"
            if refused is None
            else f"{refused.version or 'the champion'}: {refused.reason}",
            note=STARTER_NOTE if is_starter(card) else "",
        )

    def _models(self, choices: Mapping[str, ProjectChoice]) -> list[LoadedStatus]:
        return [
            LoadedStatus(
                version=one.model_version,
                family=one.family,
                state=one.state,
                memory_mb=round(one.n_bytes / MEGABYTE, 1),
                is_default=one.is_default,
                projects=tuple(one.projects),
            )
            for one in self.models.view(choices)
        ]

    def _project_models(self, choices: Mapping[str, ProjectChoice]) -> list[ProjectModelStatus]:
        default = self.models.champion.model_version
        return [
            ProjectModelStatus(
                project=project,
                names="" if choice.own is None else choice.own.name,
                named_by="" if choice.own is None else choice.own.named_by,
                answered_by=default
                if choice.checkpoint is None
                else choice.checkpoint.model_version,
                problem=choice.problem,
            )
            for project, choice in choices.items()
        ]

    def _champions(self) -> list[ChampionStatus]:
        try:
            history = self.store.history()
        except SamBackendError:  # the watch has said so in the journal
            return []
        return [
            ChampionStatus(
                at=_seconds(one.at.astimezone(UTC)),
                action="rollback" if one.is_rollback else "promotion",
                version=one.version,
                by=one.by,
                reason=one.reason,
            )
            for one in reversed(history[-N_CHAMPIONS:])
        ]

    def _jobs(self) -> tuple[list[JobStatus], str]:
        """Return the newest jobs, and why they cannot be listed (else empty)."""
        try:
            jobs = self.newest_jobs(N_JOBS)
        except SamBackendError as error:  # clicks need no database
            return [], str(error)
        return [_job(job) for job in jobs], ""


def _job(job: Job) -> JobStatus:
    return JobStatus(
        id=str(job.id),
        kind=job.kind,
        project="" if job.project is None else str(job.project),
        state="stopping" if job.state == "running" and job.cancel_requested else job.state,
        progress=job.reason or _told(job.result or job.progress),
        at=_seconds(job.finished_at or job.started_at or job.created_at),
    )


def _told(facts: Mapping[str, Any]) -> str:
    """What a worker tells, in one line: plain values only, numbers to three digits."""
    facts = dict(facts)
    stage, done, of = (facts.pop(name, None) for name in ("stage", "done", "of"))
    parts = [] if stage is None else [str(stage)]
    if done is not None:
        parts.append(f"{done} of {of}" if of else f"{done}")
    for name, value in facts.items():
        words = name.removesuffix("_s").replace("_", " ")
        if name.endswith("_s") and isinstance(value, int | float):
            parts.append(f"{words} {value:.0f} s")
        elif isinstance(value, float):
            parts.append(f"{words} {value:.3g}")
        elif isinstance(value, bool | int | str):
            parts.append(f"{words} {value}")
    return ", ".join(parts)


def _seconds(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _availability(is_available: bool) -> str:
    return "connected" if is_available else "away: memory only"
