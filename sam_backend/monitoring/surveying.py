"""Measuring all of a project that stages, dashboard and alerts look at; a kind of job."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.monitoring.board import board
from sam_backend.projects.dataset import client_of_project
from sam_backend.quality.calibration.current import keep_drift, trust_of
from sam_backend.quality.calibration.gather import gather_judged
from sam_backend.quality.gold.scoring import score_project
from sam_backend.semi_automatic.edit_report import edit_report
from sam_backend.serving.model_choice import ModelChoice
from sam_backend.settings import Settings
from sam_backend.stages.policy import policies
from sam_backend.stages.stage_metrics import Evidence, gather
from sam_backend.stages.transitions import Standing, move_by_gates, standing
from sam_backend.store.checkpoint_folders import ModelEntry
from sam_backend.store.database import Database, open_database
from sam_backend.store.gold import Gold
from sam_backend.store.job_handling import IsStopped, Report, StoppedError
from sam_backend.store.jobs import Job, Jobs
from sam_backend.store.measurement_kinds import SURVEY
from sam_backend.store.measurements import Measurements
from sam_backend.store.models import open_store
from sam_backend.store.prefills import Prefills
from sam_backend.store.revisions import Revisions
from sam_backend.store.stage_moves import StageMove, StageMoves
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


def board_of(
    settings: Settings, database: Database, host: LabelStudioHost, project: int, served: Served
) -> dict[str, Any]:
    """All figures of a project without asking Label Studio.

    Args:
        settings: The settings of this process.
        database: Where they are kept.
        host: Of the project.
        project: Its number.
        served: The model that answers.
    """
    evidence = gather(database, host.url, project, served.entry, served.model_version)
    return board(database, host, project, evidence, policies(settings.stages), datetime.now(UTC))


def evidence_of(settings: Settings, database: Database, host: str, project: int) -> Evidence:
    """What is known of a project without asking Label Studio.

    Raises:
        ModelStoreError: Nothing can be served.
    """
    served = served_by(settings)
    return gather(database, host, project, served.entry, served.model_version)


def measure(
    settings: Settings,
    database: Database,
    client: LabelStudioClient,
    project: int,
    observe: Observe = lambda what, done: None,
) -> None:
    """Measure what can be measured of a project now, and keep the figures.

    Args:
        settings: The settings of this process.
        database: Keeps them.
        client: API client of the project's Label Studio.
        project: Its number.
        observe: Told what is looked at, and how far.

    Raises:
        SamBackendError: Label Studio, model or database is out of reach.
    """
    host = client.host
    revisions = Revisions(database, host.url, project)
    read_project(client, project, revisions, observe=lambda done, of: observe("reading", done))
    measured = {"revision": revisions.last_number()}  # what comes meanwhile is for the next time
    if Gold(database).images():
        score_project(settings, database, client, project, lambda done, of: observe("gold", done))
    if Prefills(database).own_versions(str(host.origin), project):
        edit_report(settings, database, client, project, lambda done: observe("prefilled", done))
    version = ModelChoice(settings, open_store(settings)).checkpoint().model_version
    trust = trust_of(database, version)
    if trust is not None:
        judged = gather_judged(
            settings, database, version, [project], with_gold="gold" in trust.sources
        )
        keep_drift(database, host.url, project, trust, judged, datetime.now(UTC))
    Measurements(database, host.url, project).add(SURVEY, measured, datetime.now(UTC))


def survey(
    settings: Settings,
    database: Database,
    client: LabelStudioClient,
    project: int,
    observe: Observe = lambda what, done: None,
) -> Survey:
    """Measure a project, and let it move if its gates may move it.

    Arguments and errors as of `measure`.
    """
    measure(settings, database, client, project, observe)
    told = policies(settings.stages)
    now = standing(evidence_of(settings, database, client.host.url, project), told)
    if not settings.stage_automatic:
        return Survey(now, None)
    moves = StageMoves(database, client.host.url, project)
    return Survey(now, move_by_gates(moves, now, told, datetime.now(UTC)))


def run_survey(
    job: Job, settings: Settings, report: Report, is_stopped: IsStopped
) -> Mapping[str, Any]:
    """A survey as a job; returns what came of it.

    Raises:
        StoppedError: It was stopped; the next survey begins anew.
        SamBackendError: Label Studio, model or database is out of reach.
    """
    project = int(job.payload["project"])

    def observe(what: str, done: int) -> None:
        if is_stopped():
            raise StoppedError("stopped before all was measured")
        report({"stage": what, "done": done})

    database = open_database(settings)
    try:
        with client_of_project(settings, project) as client:
            found = survey(settings, database, client, project, observe)
    finally:
        database.close()
    stage = found.standing.policy.stage if found.standing.move is not None else "none"
    moved = "" if found.move is None else f"to stage {found.move.stage}: {found.move.reason}"
    return {"in stage": stage, "moved": moved or "no"}


def order_survey(jobs: Jobs, project: int) -> Job:
    """Queue a survey of a project, unless one waits or runs already."""
    return jobs.enqueue(JOB_KIND, {"project": project}, project, f"{JOB_KIND} {project}")
