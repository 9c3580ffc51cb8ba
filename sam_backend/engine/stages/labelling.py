"""How people label: seconds a mask and masks an image, by stage and as time goes on."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from sam_backend.engine.stages.gates import Reading
from sam_backend.quality.bootstrap import weighted_ratio_interval
from sam_backend.store.revisions import Revision, Subject
from sam_backend.store.stage_moves import StageMove

NO_STAGE = "none"
"""What was labelled before anybody put the project into a stage."""
_ENDS = 3
"""The first and the last third of a stage are compared, as the paper tells where it began and
ended."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One submitted annotation.

    Attributes:
        at: When it was first submitted.
        task: Of it.
        person: User id; None if unknown.
        masks: Objects on it.
        seconds: That its author spent on it; None: not told.
    """

    at: datetime
    task: int
    person: str | None
    masks: int
    seconds: float | None


def labelled_of(revisions: Iterable[Revision]) -> list[Labelled]:
    """Submitted annotations in the order in which they came, without tasks passed over.

    Args:
        revisions: The newest of a project (`Revisions.newest`).
    """
    found = [
        Labelled(
            one.made_at or one.stamp,
            one.task or 0,
            one.author,
            one.regions,
            one.lead_time_s or None,
        )
        for one in revisions
        if one.subject is Subject.ANNOTATION and not one.is_skipped
    ]
    return sorted(found, key=lambda one: (one.at, one.task))


def stages_of(
    labelled: Sequence[Labelled], moves: Sequence[StageMove]
) -> dict[str, list[Labelled]]:
    """What was labelled in each stage, in the order of the stages' first use."""
    moments = [move.at for move in moves]
    found: dict[str, list[Labelled]] = {}
    for one in labelled:
        place = bisect_right(moments, one.at)
        stage = moves[place - 1].stage if place else NO_STAGE
        found.setdefault(stage, []).append(one)
    return found


def since(labelled: Sequence[Labelled], move: StageMove | None) -> list[Labelled]:
    """What was labelled since a move; all, if there is none."""
    return [one for one in labelled if move is None or one.at >= move.at]


def seconds_a_mask(labelled: Sequence[Labelled]) -> Reading | None:
    """All seconds over all masks, over annotations that tell their time; None: too few."""
    timed = [(one.seconds, one.masks) for one in labelled if one.seconds is not None and one.masks]
    return _ratio(timed)


def masks_an_image(labelled: Sequence[Labelled]) -> Reading | None:
    """Masks of an annotation, on average; None: too few."""
    return _ratio([(float(one.masks), 1) for one in labelled])


def pace_gain(labelled: Sequence[Labelled]) -> Reading | None:
    """Share by which seconds a mask fell from the middle third to the last one; None: too few.

    Small where the annotators have become as fast as this model makes them.
    """
    timed = [one for one in labelled if one.seconds is not None and one.masks]
    middle, last = _thirds(timed)
    before, after = seconds_a_mask(middle), seconds_a_mask(last)
    if before is None or after is None or not before.value:
        return None
    return Reading.counted(1 - after.value / before.value, len(timed))


def masks_gain(labelled: Sequence[Labelled]) -> Reading | None:
    """Share by which masks an image rose from the middle third to the last one; None: too few."""
    middle, last = _thirds(labelled)
    before, after = masks_an_image(middle), masks_an_image(last)
    if before is None or after is None or not before.value:
        return None
    return Reading.counted(after.value / before.value - 1, len(labelled))


def course(labelled: Sequence[Labelled]) -> dict[str, Any]:
    """A stage's figures for people: in all, in its first and in its last third."""
    third = max(1, len(labelled) // _ENDS)
    parts = {"all": labelled, "begin": labelled[:third], "end": labelled[-third:]}
    timed = [one for one in labelled if one.seconds is not None]
    return {
        "annotations": len(labelled),
        "images": len({one.task for one in labelled}),
        "masks": sum(one.masks for one in labelled),
        "people": len({one.person for one in labelled if one.person is not None}),
        "seconds": sum(one.seconds or 0.0 for one in timed),
        "seconds a mask": {name: _told(seconds_a_mask(some)) for name, some in parts.items()},
        "masks an image": {name: _told(masks_an_image(some)) for name, some in parts.items()},
    }


def points(labelled: Sequence[Labelled], n: int = 40) -> list[dict[str, Any]]:
    """Seconds a mask and masks an image of consecutive equal parts, at most `n`, for a curve."""
    parts = np.array_split(np.arange(len(labelled)), min(n, len(labelled))) if labelled else []
    found = []
    for part in parts:
        some = [labelled[place] for place in part]
        masks = sum(one.masks for one in some if one.seconds is not None)
        spent = sum(one.seconds for one in some if one.seconds is not None)
        found.append(
            {
                "at": some[-1].at.isoformat(),
                "annotations": len(some),
                "seconds a mask": spent / masks if masks else None,
                "masks an image": sum(one.masks for one in some) / len(some),
            }
        )
    return found


def _thirds(labelled: Sequence[Labelled]) -> tuple[list[Labelled], list[Labelled]]:
    third = len(labelled) // _ENDS
    return list(labelled[-2 * third : -third]), list(labelled[-third:] if third else [])


def _ratio(pairs: Sequence[tuple[float, int]]) -> Reading | None:
    parts, wholes = np.array(pairs, np.float64).reshape(-1, 2).T
    found = weighted_ratio_interval(parts, wholes, np.ones(len(parts)), ["all"] * len(parts))
    return None if found is None else Reading(found.value, found.low, found.high, len(parts))


def _told(reading: Reading | None) -> dict[str, float] | None:
    if reading is None:
        return None
    return {"value": reading.value, "low": reading.low, "high": reading.high, "n": reading.n}
