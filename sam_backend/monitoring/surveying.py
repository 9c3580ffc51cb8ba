"""Measuring all of a project that stages, dashboard and alerts look at; a kind of job."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sam_backend.monitoring.board import Board, board
from sam_backend.progress import Progress
from sam_backend.projects.measured import Surveyed
from sam_backend.projects.project import Project, settings_of_project
from sam_backend.quality.calibration.current import current_calibration, keep_drift
from sam_backend.quality.calibration.gather import gather_judged
from sam_backend.quality.gold.scoring import score_project
from sam_backend.semi_automatic.edit_report import edit_report
from sam_backend.serving.model_choice import ModelChoice
from sam_backend.settings import Settings
from sam_backend.stages.policy import policies
from sam_backend.stages.stage_metrics import Evidence, gather
from sam_backend.stages.transitions import Standing, move_by_gates, standing
from sam_backend.store.checkpoint_folders import ModelEntry
from sam_backend.store.database import open_database
from sam_backend.store.job_handling import IsStopped, Report, StoppedError
from sam_backend.store.jobs import Job, Jobs
from sam_backend.store.models import open_store
from sam_backend.store.stage_moves import StageMove
from sam_backend.versions.reading import read_project

JOB_KIND = "survey"

Observe = Callable[[str, int], None]
"""What is looked at, and how far."""


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What a survey found.

    Attributes:
        standing: The project before its gates.
        move: That followed; None: it stays where it is.
    """

    standing: Standing
    move: StageMove | None


@dataclass(frozen=True, slots=True)
class Served:
    """The model that answers.

    Attributes:
        model_version: Names it and the settings that shape its answers.
        entry: Its checkpoint in the store.
    """

    model_version: str
    entry: ModelEntry


def served_by(settings: Settings) -> Served:
    """What a server with these settings would serve.

    Raises:
        ModelStoreError: Nothing can be served.
    """
    store = open_store(settings)
    version = ModelChoice(settings, store).checkpoint().model_version
    return Served(version, store.to_serve(settings.model))


def board_of(project: Project, served: Served) -> Board:
    """All figures of a project without asking Label Studio.

    Args:
        project: The project.
        served: The model that answers.
    """
    evidence = gather(project, served.entry, served.model_version)
    return board(project, evidence, policies(project.settings.stages), datetime.now(UTC))


def evidence_of(project: Project) -> Evidence:
    """What is known of a project without asking Label Studio.

    Raises:
        ModelStoreError: Nothing can be served.
    """
    served = served_by(project.settings)
    return gather(project, served.entry, served.model_version)


def measure(project: Project, observe: Observe = lambda what, done: None) -> None:
    """Measure what can be measured of a project now, and keep the figures.

    Args:
        project: The project.
        observe: Told what is looked at, and how far.

    Raises:
        SamBackendError: Label Studio, model or database is out of reach.
    """
    settings, database = project.settings, project.database
    read_project(project, observe=lambda done, of: observe("reading", done))
    # what comes meanwhile is for the next time
    revision = project.revisions.last_number()
    if project.gold.images():
        score_project(project, lambda done, of: observe("gold", done))
    if project.prefills.own_versions(project.origin, project.id):
        edit_report(project, lambda done: observe("prefilled", done))
    version = ModelChoice(settings, open_store(settings)).checkpoint().model_version
    trust = current_calibration(database, version)
    if trust is not None:
        judged = gather_judged(
            settings, database, version, [project], with_gold="gold" in trust.sources
        )
        keep_drift(project, trust, judged, datetime.now(UTC))
    Surveyed(at=datetime.now(UTC), revision=revision).keep(project.measurements)


def survey(project: Project, observe: Observe = lambda what, done: None) -> Survey:
    """Measure a project, and let it move if its gates may move it.

    Arguments and errors as of `measure`.
    """
    measure(project, observe)
    told = policies(project.settings.stages)
    now = standing(evidence_of(project), told)
    if not project.settings.stage_automatic:
        return Survey(now, None)
    return Survey(now, move_by_gates(project.stage_moves, now, told, datetime.now(UTC)))


def run_survey(
    job: Job, settings: Settings, report: Report, is_stopped: IsStopped
) -> Mapping[str, Any]:
    """A survey as a job; returns what came of it.

    Raises:
        StoppedError: It was stopped; the next survey begins anew.
        SamBackendError: Label Studio, model or database is out of reach.
    """

    def observe(what: str, done: int) -> None:
        if is_stopped():
            raise StoppedError("stopped before all was measured")
        report(Progress(what, done))

    number = int(job.payload["project"])
    settings = settings_of_project(settings, number)
    database = open_database(settings)
    try:
        with Project.of(settings, database, number) as project:
            found = survey(project, observe)
    finally:
        database.close()
    stage = found.standing.policy.stage if found.standing.move is not None else "none"
    moved = "" if found.move is None else f"to stage {found.move.stage}: {found.move.reason}"
    return {"in_stage": stage, "moved": moved or "no"}


def order_survey(jobs: Jobs, project: int) -> Job:
    """Queue a survey of a project, unless one waits or runs already."""
    return jobs.enqueue(JOB_KIND, {"project": project}, project, f"{JOB_KIND} {project}")
