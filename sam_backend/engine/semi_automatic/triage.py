"""Accept, review or discard: what is believed of the masks that a model proposes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from sam_backend.sam.automatic.records import MaskRecord


class Outcome(StrEnum):
    """What becomes of a proposed mask."""

    ACCEPT = "accept"
    """Prefilled as confident."""
    REVIEW = "review"
    """Shown as a suggestion with its lower score."""
    DISCARD = "discard"
    """Kept in our store only, for audits."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What a mask must reach.

    Attributes:
        predicted_iou: At least; 0 to 1.
        stability: At least; 0 to 1.
    """

    predicted_iou: float
    stability: float

    def admits(self, record: MaskRecord) -> bool:
        """Whether a mask reaches it."""
        return record.predicted_iou >= self.predicted_iou and record.stability >= self.stability


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A proposed mask and what is believed of it.

    Attributes:
        record: The mask.
        confidence: 0 to 1; the region's score in Label Studio.
        outcome: What becomes of it.
    """

    record: MaskRecord
    confidence: float
    outcome: Outcome


Confidence = Callable[[MaskRecord], float]
"""How sure we are of a mask, 0 to 1."""


def predicted_confidence(record: MaskRecord) -> float:
    """The predicted IoU, cut to 0 to 1: the head is a regression and may leave that range."""
    return min(max(record.predicted_iou, 0.0), 1.0)


def triage(
    records: Iterable[MaskRecord],
    accept: Bar,
    review: Bar,
    confidence: Confidence = predicted_confidence,
) -> list[Judged]:
    """Judge each mask, in the given order.

    Args:
        records: The masks.
        accept: What a mask must reach to be prefilled.
        review: What it must reach to be shown at all.
        confidence: How sure we are of a mask.
    """
    return [
        Judged(record, confidence(record), _outcome(record, accept, review)) for record in records
    ]


def _outcome(record: MaskRecord, accept: Bar, review: Bar) -> Outcome:
    if accept.admits(record):
        return Outcome.ACCEPT
    return Outcome.REVIEW if review.admits(record) else Outcome.DISCARD
