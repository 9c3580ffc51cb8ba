"""How people label: seconds a mask and masks an image, visit by visit and as time goes on."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np

from sam_backend.metrics.intervals import Scale, ratio_interval
from sam_backend.stages.gates import Reading
from sam_backend.store.revisions import Revision, Subject
from sam_backend.store.stage_moves import StageMove

NO_STAGE = "none"
"""What was labelled before anybody put the project into a stage."""
_ENDS = 3
"""The first and the last third of a visit are compared, as the paper tells where it began and
ended."""
_BLOCKS = 200
"""More annotations than that are taken together in so many blocks: neighbours are alike."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One submitted annotation.

    Attributes:
        at: When it was first submitted.
        task: The task.
        person: User id; None if unknown.
        masks: Objects on it.
        seconds: That its author spent on it.
    """

    at: datetime
    task: int
    person: str | None
    masks: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Visit:
    """A project's time in a stage, from one move to the next.

    Attributes:
        stage: `NO_STAGE` before the first move.
        labelled: What was submitted in it, in order.
    """

    stage: str
    labelled: Sequence[Labelled]


@dataclass(frozen=True, slots=True)
class Thirds:
    """A figure of a visit; None where it would rest on too few annotations.

    Attributes:
        whole: Over all annotations of the visit.
        begin: Over the first third of them.
        end: Over the last third of them.
    """

    whole: Reading | None
    begin: Reading | None
    end: Reading | None


@dataclass(frozen=True, slots=True)
class CoursePoint:
    """The figures of some consecutive annotations.

    Attributes:
        annotations: Number of annotations.
        seconds_per_mask: Time of people over masks; None where nothing was drawn.
        masks_per_image: Mean number of masks of an annotation.
    """

    annotations: int
    seconds_per_mask: float | None
    masks_per_image: float


@dataclass(frozen=True, slots=True)
class Course:
    """How people labelled during a visit to a stage.

    Attributes:
        stage: Stage of the visit; `NO_STAGE` before the first move.
        annotations: Number of submitted annotations.
        images: Number of tasks that they are on.
        masks: Number of objects on them.
        people: Number of people who made them.
        seconds: Time that people spent on them.
        seconds_per_mask: Time of people over masks.
        masks_per_image: Mean number of masks of an annotation.
        points: The same figures of consecutive parts, for a curve.
    """

    stage: str
    annotations: int
    images: int
    masks: int
    people: int
    seconds: float
    seconds_per_mask: Thirds
    masks_per_image: Thirds
    points: tuple[CoursePoint, ...]


def labelled_of(revisions: Iterable[Revision]) -> list[Labelled]:
    """Annotations that people have submitted, in the order in which they came.

    Without tasks passed over, and without annotations that tell no time: they were not made on
    Label Studio's page, but imported.

    Args:
        revisions: The newest of a project (`Revisions.newest`).
    """
    found = [
        Labelled(
            at=one.made_at or one.stamp,
            task=one.task or 0,
            person=one.author,
            masks=one.regions,
            seconds=one.lead_time_s,
        )
        for one in revisions
        if one.subject is Subject.ANNOTATION and not one.is_skipped and one.lead_time_s
    ]
    return sorted(found, key=lambda one: (one.at, one.task))


def visits(labelled: Sequence[Labelled], moves: Sequence[StageMove]) -> list[Visit]:
    """A project's visits to its stages in their order; one to no stage only if it has work."""
    moments = [one.at for one in labelled]
    bounds = [0, *(bisect_left(moments, move.at) for move in moves), len(labelled)]
    stages = [NO_STAGE, *(move.stage for move in moves)]
    found = [
        Visit(stage, labelled[begin:end])
        for stage, (begin, end) in zip(stages, pairwise(bounds), strict=True)
    ]
    return found if found[0].labelled else found[1:]


def by_stage(visited: Sequence[Visit]) -> dict[str, list[Labelled]]:
    """All that was labelled in each stage, however often it was visited."""
    found: dict[str, list[Labelled]] = {}
    for visit in visited:
        found.setdefault(visit.stage, []).extend(visit.labelled)
    return found


def since(labelled: Sequence[Labelled], move: StageMove | None) -> list[Labelled]:
    """What was labelled since a move; all, if there is none."""
    return [one for one in labelled if move is None or one.at >= move.at]


def seconds_per_mask(labelled: Sequence[Labelled]) -> Reading | None:
    """All seconds over all masks, over annotations that have some; None: too few."""
    return _ratio([(one.seconds, one.masks) for one in labelled if one.masks])


def masks_per_image(labelled: Sequence[Labelled]) -> Reading | None:
    """Masks of an annotation, on average; None: too few."""
    return _ratio([(float(one.masks), 1) for one in labelled])


def pace_gain(labelled: Sequence[Labelled]) -> Reading | None:
    """Share by which seconds a mask fell from the middle third to the last one; None: too few.

    Small where the annotators have become as fast as this model makes them.
    """
    change = _change([one for one in labelled if one.masks], seconds_per_mask)
    return None if change is None else Reading(-change.value, -change.high, -change.low, change.n)


def masks_gain(labelled: Sequence[Labelled]) -> Reading | None:
    """Share by which masks an image rose from the middle third to the last one; None: too few."""
    return _change(labelled, masks_per_image)


def course(visit: Visit) -> Course:
    """Return the figures of a visit: in all, in its first and in its last third."""
    labelled = visit.labelled
    return Course(
        stage=visit.stage,
        annotations=len(labelled),
        images=len({one.task for one in labelled}),
        masks=sum(one.masks for one in labelled),
        people=len({one.person for one in labelled if one.person is not None}),
        seconds=sum(one.seconds for one in labelled),
        seconds_per_mask=_thirds(labelled, seconds_per_mask),
        masks_per_image=_thirds(labelled, masks_per_image),
        points=tuple(points(labelled)),
    )


def points(labelled: Sequence[Labelled], n: int = 40) -> list[CoursePoint]:
    """Return the figures of at most `n` consecutive parts of equal length, for a curve."""
    parts = np.array_split(np.arange(len(labelled)), min(n, len(labelled))) if labelled else []
    found = []
    for part in parts:
        some = [labelled[place] for place in part]
        masks = sum(one.masks for one in some)
        spent = sum(one.seconds for one in some if one.masks)
        found.append(CoursePoint(len(some), spent / masks if masks else None, masks / len(some)))
    return found


def _thirds(
    labelled: Sequence[Labelled], figure: Callable[[Sequence[Labelled]], Reading | None]
) -> Thirds:
    third = max(1, len(labelled) // _ENDS)
    return Thirds(figure(labelled), figure(labelled[:third]), figure(labelled[-third:]))


def _change(
    labelled: Sequence[Labelled], figure: Callable[[Sequence[Labelled]], Reading | None]
) -> Reading | None:
    """By which share a figure changed from the middle third to the last one.

    The interval's ends are those of both intervals at their worst: wider than need be, so that
    chance opens no gate.
    """
    third = len(labelled) // _ENDS
    if not third:
        return None
    before, after = figure(labelled[-2 * third : -third]), figure(labelled[-third:])
    if before is None or after is None or before.low <= 0:
        return None
    return Reading(
        after.value / before.value - 1,
        after.low / before.high - 1,
        after.high / before.low - 1,
        len(labelled),
    )


def _ratio(pairs: Sequence[tuple[float, int]]) -> Reading | None:
    n = min(len(pairs), _BLOCKS)
    begins = np.linspace(0, len(pairs), n, endpoint=False).astype(np.int64)
    parts, wholes = (
        np.add.reduceat(column, begins) if n else column
        for column in np.array(pairs, np.float64).reshape(-1, 2).T
    )
    found = ratio_interval(parts, wholes, Scale.POSITIVE)
    return None if found is None else Reading(found.value, found.low, found.high, len(pairs))
