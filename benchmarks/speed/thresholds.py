"""Masks that only one side accepted because something about them lies within a hair of a threshold.

Rounding decides such a candidate; and with it, through suppression, others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.speed.outcome import Outcome

HAIR = 1e-4


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Of the automatic generator, as `SamAutomaticMaskGenerator` names and sets them."""

    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    box_nms_thresh: float = 0.7


@dataclass(frozen=True, slots=True, eq=False)
class Dispute:
    """What two sides accepted, and which masks only one of them did.

    Attributes:
        missing: Of `reference`, not among `ours`.
        extra: Of `ours`, not in `reference`.
        reference: All that the reference accepted.
        ours: All that we accepted.
    """

    missing: Sequence[Outcome]
    extra: Sequence[Outcome]
    reference: Sequence[Outcome]
    ours: Sequence[Outcome]

    def explained(self, thresholds: Thresholds) -> list[Outcome]:
        """The masks of one side only that a threshold explains.

        Either one of their own figures lies within a hair of it; or the other side kept a mask
        whose box suppresses theirs by a hair, or that wins by a hair of predicted IoU; or what
        suppresses them over there is itself explained.
        """
        known = [one for one in self.missing if _at_the_edge(one, self.ours, thresholds)]
        known += [one for one in self.extra if _at_the_edge(one, self.reference, thresholds)]
        open_ones = [one for one in (*self.missing, *self.extra) if one not in known]
        while newly := [
            one
            for one in open_ones
            if (box_ious(one, known) > thresholds.box_nms_thresh).any()
        ]:  # fmt: skip
            known += newly
            open_ones = [one for one in open_ones if one not in newly]
        return known


def _at_the_edge(one: Outcome, kept: Sequence[Outcome], thresholds: Thresholds) -> bool:
    iou, stability = one.predicted_iou, one.stability
    if iou is not None and abs(iou - thresholds.pred_iou_thresh) <= HAIR:
        return True
    if stability is not None and abs(stability - thresholds.stability_score_thresh) <= HAIR:
        return True
    overlaps = box_ious(one, kept)
    if (np.abs(overlaps - thresholds.box_nms_thresh) <= HAIR).any():
        return True
    return any(
        iou is not None and other.predicted_iou is not None
        and abs(other.predicted_iou - iou) <= HAIR
        for other, overlap in zip(kept, overlaps, strict=True)
        if overlap > thresholds.box_nms_thresh
    )  # fmt: skip


def box_ious(one: Outcome, others: Sequence[Outcome]) -> npt.NDArray[np.float64]:
    """IoU of a mask's box with those of others, shape (N,), as torchvision's NMS takes it."""
    boxes = np.array([other.box for other in others], np.float64).reshape(-1, 4)
    box = np.array(one.box, np.float64)
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    union = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2]) - shared
    return np.divide(shared, union, out=np.zeros(len(boxes)), where=union > 0)
