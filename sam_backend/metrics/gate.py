"""The quality gate: whether a challenger may replace the champion, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from sam_backend.metrics.figures import (
    BOX_MIOU,
    CALIBRATION_ERROR,
    NOC_TARGETS,
    THREE_CLICK_BOUNDARY,
    Figure,
    miou,
    noc,
)
from sam_backend.metrics.interactive import InteractiveReport
from sam_backend.metrics.intervals import (
    CONFIDENCE,
    MIN_IMAGES,
    Interval,
    are_comparable,
    difference,
)

GATED: tuple[Figure, ...] = (
    miou(1),
    miou(3),
    *(noc(target) for target in NOC_TARGETS),
    BOX_MIOU,
    THREE_CLICK_BOUNDARY,
    CALIBRATION_ERROR,
)

ROUNDING = 1e-9
"""Differences so small are the arithmetic's, not the model's."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of both models.

    Attributes:
        figure: Its name.
        champion: The champion's.
        challenger: The challenger's.
        difference: Challenger minus champion, with its interval.
        verdict: Better or worse if the whole interval of the difference is on that side, else same.
        digits: After the point, for people.
    """

    figure: str
    champion: float
    challenger: float
    difference: Interval
    verdict: Literal["better", "same", "worse"]
    digits: int = 3

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return the comparison that JSON tells; one without an interval has none of any width."""
        change = told["challenger"] - told["champion"]
        interval = told.get("difference", {"value": change, "low": change, "high": change})
        return cls(
            figure=told["figure"],
            champion=told["champion"],
            challenger=told["challenger"],
            difference=Interval(interval["value"], interval["low"], interval["high"]),
            verdict=told.get("verdict", "same"),
            digits=told.get("digits", 3),
        )

    def __str__(self) -> str:
        n = self.digits
        change = self.difference
        return (
            f"{self.figure} goes from {self.champion:.{n}f} to {self.challenger:.{n}f} "
            f"({change.value:+.{n}f}, {CONFIDENCE:.0%} interval "
            f"{change.low:+.{n}f} to {change.high:+.{n}f})"
        )


@dataclass(frozen=True, slots=True)
class GateDecision:
    """Whether a challenger may be served.

    Attributes:
        promote: Whether the challenger may be served.
        comparisons: Each gated figure; none if there was nothing to compare.
        reasons: Why, as sentences.
    """

    promote: bool
    comparisons: tuple[Comparison, ...]
    reasons: tuple[str, ...]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return the decision that a model card of this release or an earlier one has kept."""
        comparisons = tuple(map(Comparison.of, told.get("comparisons", ())))
        return cls(bool(told.get("promote")), comparisons, tuple(told.get("reasons", ())))


def decide(champion: InteractiveReport, challenger: InteractiveReport) -> GateDecision:
    """Promote the challenger if a figure is better by more than chance, and none is worse.

    A challenger that differs in nothing by more than chance is not promoted.

    Args:
        champion: Results of the model that is served.
        challenger: Results of the model that wants to be served, on the same masks.
    """
    if not are_comparable(champion, challenger):
        reason = "The two models were not measured on the same masks with equally many clicks."
        return GateDecision(False, (), (f"Kept the champion. {reason}",))
    if champion.n_images < MIN_IMAGES:
        reason = (
            f"The masks lie on {champion.n_images} images; fewer than {MIN_IMAGES} prove nothing."
        )
        return GateDecision(False, (), (f"Kept the champion. {reason}",))
    comparisons = tuple(_compare(champion, challenger, figure) for figure in GATED)
    worse = [one for one in comparisons if one.verdict == "worse"]
    better = [one for one in comparisons if one.verdict == "better"]
    if worse:
        head = "Kept the champion: the challenger is worse by more than chance."
    elif better:
        head = "Promoted the challenger: better by more than chance, and no figure is worse."
    else:
        head = "Kept the champion: no figure of the challenger is better by more than chance."
    details = (f"{one}." for one in worse or better)
    return GateDecision(bool(better and not worse), comparisons, (head, *details))


def _compare(
    champion: InteractiveReport, challenger: InteractiveReport, figure: Figure
) -> Comparison:
    change = difference(champion, challenger, figure)
    rises, falls = change.low > ROUNDING, change.high < -ROUNDING
    verdict: Literal["better", "same", "worse"] = "same"
    if rises or falls:
        verdict = "better" if rises == figure.is_higher_better else "worse"
    return Comparison(
        figure.name,
        champion.value(figure),
        challenger.value(figure),
        change,
        verdict,
        figure.digits,
    )
