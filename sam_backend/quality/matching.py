"""Which mask is which: one person's or model's masks of an image against trusted ones.

Masks are matched for the largest summed IoU (Hungarian method, scipy's `linear_sum_assignment`),
first those of the same label, then, among what is left, any: a mask in the right place under
a wrong label is a wrong label, not one mask missing and another too many.
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


@dataclass(frozen=True, slots=True)
class Match:
    """Two masks of one object.

    Attributes:
        truth: Index of the trusted mask.
        found: Index of the other.
        iou: Of the two.
        same_label: Whether both carry the same label.
    """

    truth: int
    found: int
    iou: float
    same_label: bool


@dataclass(frozen=True, slots=True)
class Matching:
    """All masks of an image, compared.

    Attributes:
        matches: Pairs of at least the asked IoU.
        missing: Trusted masks without a partner.
        extra: Other masks without a partner.
    """

    matches: tuple[Match, ...]
    missing: tuple[int, ...]
    extra: tuple[int, ...]


def match_masks(
    truth: Sequence[LabelledMask], found: Sequence[LabelledMask], min_iou: float = MATCHED_IOU
) -> Matching:
    """Match masks of one image, same labels first.

    Args:
        truth: Trusted masks.
        found: Masks to compare with them.
        min_iou: Of a pair.

    Raises:
        InvalidInputError: The masks are not all of one size.
    """
    ious = iou_matrix([one.rle for one in truth], [one.rle for one in found])
    is_same = np.array([[a.label == b.label for b in found] for a in truth], np.bool_)
    is_same = is_same.reshape(ious.shape)
    matches: list[Match] = []
    for allowed in (is_same, ~is_same):
        matches += _assigned(ious, allowed & _open(ious.shape, matches), min_iou, is_same)
    matched_truth = {one.truth for one in matches}
    matched_found = {one.found for one in matches}
    return Matching(
        matches=tuple(sorted(matches, key=lambda one: one.truth)),
        missing=tuple(i for i in range(len(truth)) if i not in matched_truth),
        extra=tuple(i for i in range(len(found)) if i not in matched_found),
    )


def _open(shape: tuple[int, ...], matches: Sequence[Match]) -> npt.NDArray[np.bool_]:
    """Pairs of masks that both have no partner yet."""
    is_open = np.ones(shape, np.bool_)
    for one in matches:
        is_open[one.truth, :] = False
        is_open[:, one.found] = False
    return is_open


def _assigned(
    ious: npt.NDArray[np.float64],
    allowed: npt.NDArray[np.bool_],
    min_iou: float,
    is_same: npt.NDArray[np.bool_],
) -> list[Match]:
    worth = np.where(allowed & (ious >= min_iou), ious, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    return [
        Match(int(i), int(j), float(ious[i, j]), bool(is_same[i, j]))
        for i, j in zip(rows, columns, strict=True)
        if worth[i, j] > 0
    ]
