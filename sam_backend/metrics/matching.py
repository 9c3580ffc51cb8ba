"""Which mask is which: one person's or model's masks of an image against trusted ones.

Masks are paired by `assign`: as many pairs of at least the asked IoU as there can be and, of the
assignments with so many, the one with the largest summed IoU (Hungarian method, scipy's
`linear_sum_assignment`). So precision and recall at an IoU are those of a largest matching at that
IoU, also where masks are nested and one mask could answer for several. Only what is measured by
COCO's rules (AP and AR, recall of proposals) is matched by `match_by_score`, as COCO does.

Which mask *is* which, is asked at falling IoUs, from `SURE_IOUS` on: what is certain is paired
first, so that no mask that was kept as it is becomes a partner of another one. Masks of the same
label go first and then, among what is left, any: a mask in the right place under a wrong label is a
wrong label, not one mask missing and another too many.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from sam_backend.datasets.types import LabelledMask
from sam_backend.masks.overlap import iou_matrix

MATCHED_IOU = 0.25
"""Two masks with less in common are of different objects. A small thing that somebody outlines
from afar falls under 0.5 and is still that thing: badly drawn, and neither missing nor too much."""

SURE_IOUS = (0.9, 0.75, 0.5)
"""Pairs are made at these IoUs, one after the other, before the lowest one that is asked for."""

Ious = npt.NDArray[np.float64]
Pairs = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Match:
    """Two masks of one object.

    Attributes:
        truth: Index of the trusted mask.
        found: Index of the other.
        iou: IoU of the two.
        same_label: Whether both carry the same label.
    """

    truth: int
    found: int
    iou: float
    same_label: bool


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """All masks of an image, compared.

    Attributes:
        matches: Pairs of at least the asked IoU, in the order of the trusted masks.
        missing: Trusted masks without a partner.
        extra: Other masks without a partner.
        right_ious: IoUs of masks with the same label, 0 of others, shape (trusted, others).
    """

    matches: tuple[Match, ...]
    missing: tuple[int, ...]
    extra: tuple[int, ...]
    right_ious: Ious

    def right(self, min_iou: float) -> Ious:
        """Return the IoU of each trusted mask with the one that finds it at `min_iou`.

        As many trusted masks as possible are found, each by another mask of the same label
        (`assign`).

        Returns:
            Shape (trusted,); 0 for a mask that is not found.
        """
        ious = np.zeros(len(self.right_ious))
        for row, column in assign(self.right_ious, min_iou):
            ious[row] = self.right_ious[row, column]
        return ious


def assign(ious: Ious, min_iou: float) -> Pairs:
    """Pair rows with columns: as many pairs as possible, then the largest summed IoU.

    Args:
        ious: IoUs of each row's mask with each column's, shape (N, M), 0 to 1.
        min_iou: Least IoU of a pair, above 0.

    Returns:
        Row and column of each pair, by rising rows.
    """
    one_more = min(ious.shape) + 1  # than all IoUs of an assignment together
    worth = np.where(ious >= min_iou, one_more + ious, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if worth[i, j] > 0]


def pair(ious: Ious, min_iou: float) -> Pairs:
    """Pair rows with columns that are of one object: the surest first.

    Those of the highest IoU of `SURE_IOUS` are made by `assign`, then those of the next one among
    what is left, and so on down to `min_iou`.

    Args:
        ious: IoUs of each row's mask with each column's, shape (N, M), 0 to 1.
        min_iou: Least IoU of a pair, above 0.

    Returns:
        Row and column of each pair, the surest first.
    """
    left, pairs = ious.copy(), Pairs()
    for level in (*(iou for iou in SURE_IOUS if iou > min_iou), min_iou):
        found = assign(left, level)
        for row, column in found:
            left[row, :] = left[:, column] = 0.0
        pairs += found
    return pairs


def match_masks(
    truth: Sequence[LabelledMask], found: Sequence[LabelledMask], min_iou: float = MATCHED_IOU
) -> Matching:
    """Match masks of one image, same labels first.

    Args:
        truth: Trusted masks.
        found: Masks to compare with them.
        min_iou: Least IoU of a pair.

    Raises:
        InvalidInputError: The masks are not all of one size.
    """
    ious = iou_matrix([one.rle for one in truth], [one.rle for one in found])
    is_same = np.array([[a.label == b.label for b in found] for a in truth], np.bool_)
    is_same = is_same.reshape(ious.shape)
    right_ious = np.where(is_same, ious, 0.0)
    pairs = pair(right_ious, min_iou)
    left = ious.copy()
    for row, column in pairs:
        left[row, :] = left[:, column] = 0.0
    pairs += pair(left, min_iou)
    matched_truth, matched_found = {row for row, _ in pairs}, {column for _, column in pairs}
    return Matching(
        matches=tuple(
            Match(i, j, float(ious[i, j]), bool(is_same[i, j])) for i, j in sorted(pairs)
        ),
        missing=tuple(i for i in range(len(truth)) if i not in matched_truth),
        extra=tuple(j for j in range(len(found)) if j not in matched_found),
        right_ious=right_ious,
    )


def match_by_score(ious: Ious, thresholds: Sequence[float]) -> npt.NDArray[np.int64]:
    """Match proposals to masks as COCO's evaluation (pycocotools' `COCOeval`) does.

    At each threshold the proposals choose one after the other, the surest first, each the mask
    that it has most in common with among those that are still free.

    Args:
        ious: IoUs of each proposal with each mask, shape (N, M); proposals by falling score.
        thresholds: Least IoUs, T of them; an IoU that equals one is enough.

    Returns:
        Index of the mask that each proposal has chosen at each threshold, shape (T, N); -1: none.
    """
    least = np.minimum(np.array(thresholds, np.float64), 1 - 1e-10)[:, None]
    n_proposals, n_masks = ious.shape
    chosen = np.full((len(least), n_proposals), -1)
    if not n_masks:
        return chosen
    is_free = np.ones((len(least), n_masks), np.bool_)
    rows = np.arange(len(least))
    for proposal in np.flatnonzero(ious.max(axis=1) >= least.min()):
        overlaps = ious[proposal]
        worth = np.where(is_free & (overlaps >= least), overlaps, -1.0)
        best = n_masks - 1 - worth[:, ::-1].argmax(axis=1)  # of equal ones the last, as COCO takes
        has_one = worth[rows, best] > 0
        chosen[has_one, proposal] = best[has_one]
        is_free[rows[has_one], best[has_one]] = False
    return chosen
