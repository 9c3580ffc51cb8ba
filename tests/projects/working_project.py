"""A project's history written into a database: people who label, stage by stage."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.projects.project import Project
from sam_backend.settings import Settings
from sam_backend.store.database import Database
from sam_backend.store.revisions import SAVED, Observation, Revisions, Subject
from sam_backend.store.stage_moves import StageMove, StageMoves

HOST = "http://label.example"
PROJECT = 3


def opened(database: Database, settings: Settings | None = None) -> Project:
    """The project; nobody answers at its address."""
    return Project(settings or Settings(), database, LabelStudioHost(HOST, "0" * 40), PROJECT)


def label(
    database: Database,
    begin: datetime,
    seconds_a_mask: Sequence[float],
    masks: int = 10,
    first: int = 1,
    people: int = 2,
    host: str = HOST,
    project: int = PROJECT,
) -> datetime:
    """One annotation for each pace, ten minutes apart; returns when the next one would come."""
    observations = []
    for place, pace in enumerate(seconds_a_mask):
        at = begin + timedelta(minutes=10 * place)
        number = first + place
        observations.append(
            Observation(
                Subject.ANNOTATION,
                number,
                SAVED,
                {"result": [number]},
                number,
                str(1 + place % people),
                at,
                masks,
                str(1 + place % people),
                at,
                pace * masks,
            )
        )
    Revisions(database, host, project).add(observations, "reading", begin)
    return begin + timedelta(minutes=10 * len(seconds_a_mask))


def move(
    database: Database,
    place: int,
    stage: str,
    at: datetime,
    host: str = HOST,
    project: int = PROJECT,
) -> None:
    """Put the project into a stage."""
    StageMoves(database, host, project).add(StageMove(place, stage, "anna", "it is time", {}, at))


def falling(n: int, begin: float, end: float) -> list[float]:
    """Seconds a mask that fall evenly in logarithms."""
    return [float(one) for one in np.geomspace(begin, end, n)]
