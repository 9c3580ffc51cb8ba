"""Accept, review or discard: what is believed of the masks that a model proposes."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from sam_backend.quality.calibration.calibrated_model import CalibratedModel
from sam_backend.quality.calibration.judged_masks import Traits
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
        drawn_for: It would be accepted or discarded, but people shall look at it, for chance has
            drawn it; None for others.
        shown_share: Probability with which chance draws such a mask; 1 for others.
    """

    record: MaskRecord
    confidence: float
    outcome: Outcome
    drawn_for: Outcome | None = None
    shown_share: float = 1.0


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
        records: Masks of one image.
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


def confidence_of(calibrated: CalibratedModel | None) -> Confidence:
    """The calibrated probability that a mask needs no correction; else the predicted IoU."""
    if calibrated is None:
        return predicted_confidence
    calibration = calibrated.calibration
    return lambda record: calibration(Traits.of(record))


def proven_triage(
    records: Iterable[MaskRecord],
    calibrated: CalibratedModel | None,
    review: Bar,
    audit_share: float,
) -> list[Judged]:
    """Judge each mask by what is proven, in the given order.

    What cannot be proven is not done: without an accept threshold nothing is accepted, and without
    a discard threshold the bar for review decides. A random part of what is accepted or discarded
    goes to people nevertheless, so that the proof can be renewed.

    Args:
        records: Masks of one image.
        calibrated: The calibration of their model version; None: nothing is proven.
        review: What masks must reach while no discard threshold is proven.
        audit_share: Share of the accepted and of the discarded masks that go to people.
    """
    confidence = confidence_of(calibrated)
    found = []
    for record in records:
        sure = confidence(record)
        outcome = _proven_outcome(record, sure, calibrated, review)
        if outcome is not Outcome.REVIEW and _is_drawn(record, audit_share):
            # an accepted mask is shown anyhow, so that it stands for itself only
            share = audit_share if outcome is Outcome.DISCARD else 1.0
            found.append(Judged(record, sure, Outcome.REVIEW, outcome, share))
        else:
            found.append(Judged(record, sure, outcome))
    return found


def _proven_outcome(
    record: MaskRecord, sure: float, calibrated: CalibratedModel | None, review: Bar
) -> Outcome:
    if calibrated is not None and calibrated.accept is not None and sure >= calibrated.accept:
        return Outcome.ACCEPT
    if calibrated is not None and calibrated.discard is not None:
        return Outcome.DISCARD if sure < calibrated.discard else Outcome.REVIEW
    return Outcome.REVIEW if review.admits(record) else Outcome.DISCARD


def _is_drawn(record: MaskRecord, share: float) -> bool:
    """By a lot that is the same whenever one looks: a mask's own digest."""
    told = f"{record.image_digest} {record.rle.size}".encode() + record.rle.counts.tobytes()
    return int.from_bytes(hashlib.sha256(told).digest()[:8], "big") < share * 2**64
