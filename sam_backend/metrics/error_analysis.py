"""What an annotator, or a model, does wrong, in words; only what the figures prove."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sam_backend.json_form import words
from sam_backend.metrics.intervals import Interval
from sam_backend.metrics.scorecards import (
    BOUNDARY_IOU,
    EXTRA,
    MISSING_LARGER,
    MISSING_SMALL,
    SIZE,
    WRONG_LABEL,
    Scorecard,
)

MAX_SHARE = 0.05
"""Of objects that may be missing, too many, or wrongly labelled."""
MIN_BOUNDARY_IOU = 0.8
SIZE_TOLERANCE = 0.02
"""Masks that are on average this much larger or smaller than the trusted ones are so on purpose or
by habit; less is the width of a line."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        name: Its name.
        figure: That proves it.
        found: Its value, with the interval that lies wholly beyond the bar.
        bar: What would be good enough.
    """

    name: str
    figure: str
    found: Interval
    bar: float

    def __str__(self) -> str:
        return (
            f"{self.name}: {words(self.figure)} {self.found.value:.2f} "
            f"({self.found.low:.2f} to {self.found.high:.2f}), asked {self.bar:g}"
        )


def faults(card: Scorecard) -> list[Fault]:
    """The faults that a scorecard proves, the interval of the figure lying beyond its bar."""
    found = [_above(card, name, figure, MAX_SHARE) for name, figure in _SHARES]
    return [one for one in (*found, _boundary(card)) if one is not None]


_SHARES = (
    ("wrong labels", WRONG_LABEL),
    ("misses small objects", MISSING_SMALL),
    ("misses objects", MISSING_LARGER),
    ("masks of nothing", EXTRA),
)


def _above(card: Scorecard, name: str, figure: str, bar: float) -> Fault | None:
    return _beyond(card, name, figure, bar, lambda found: found.low > bar)


def _beyond(
    card: Scorecard, name: str, figure: str, bar: float, is_beyond: Callable[[Interval], bool]
) -> Fault | None:
    found = card.figures[figure]
    return None if found is None or not is_beyond(found) else Fault(name, figure, found, bar)


def _boundary(card: Scorecard) -> Fault | None:
    """A boundary that is off is loose or tight where the sizes tell, else ragged."""
    size, tolerance = card.figures[SIZE], float(np.log1p(SIZE_TOLERANCE))
    name = "ragged boundary"
    if size is not None and size.low > tolerance:
        name = "loose boundary"
    elif size is not None and size.high < -tolerance:
        name = "tight boundary"
    return _beyond(
        card, name, BOUNDARY_IOU, MIN_BOUNDARY_IOU, lambda found: found.high < MIN_BOUNDARY_IOU
    )
