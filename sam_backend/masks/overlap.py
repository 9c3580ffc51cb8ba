"""How much two masks have in common."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import RLE, to_coco
from sam_backend.masks.types import Mask, check_mask


def mask_iou(a: Mask, b: Mask) -> float:
    """Intersection over union of two masks of one shape (H, W), 0 to 1; two empty masks agree: 1.

    Raises:
        InvalidInputError: The shapes differ.
    """
    if check_mask(a).shape != check_mask(b).shape:
        raise InvalidInputError(f"masks must have one shape, not {a.shape} and {b.shape}")
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def iou_matrix(a: Sequence[RLE], b: Sequence[RLE]) -> npt.NDArray[np.float64]:
    """Intersection over union of each mask of `a` with each of `b`, shape (len(a), len(b)).

    Raises:
        InvalidInputError: The masks are not all of one size.
    """
    return _compared(a, b, is_crowd=False)


def share_inside(a: Sequence[RLE], b: Sequence[RLE]) -> npt.NDArray[np.float64]:
    """Which share of each mask of `a` lies in each of `b`, shape (len(a), len(b)).

    Raises:
        InvalidInputError: The masks are not all of one size.
    """
    # COCO compares what is found with a crowd by the area of what is found alone
    return _compared(a, b, is_crowd=True)


def box_iou(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intersection over union of each box of `a` with each of `b`, shape (len(a), len(b)).

    Args:
        a: Shape (N, 4), x0 y0 x1 y1 in pixels, from edge to edge.
        b: Shape (M, 4), likewise.
    """
    if not len(a) or not len(b):
        return np.zeros((len(a), len(b)))
    as_xywh = (np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1) for box in (a, b))
    return np.asarray(coco_mask.iou(*as_xywh, [0] * len(b)), np.float64)


def _compared(a: Sequence[RLE], b: Sequence[RLE], is_crowd: bool) -> npt.NDArray[np.float64]:
    sizes = {rle.size for rle in (*a, *b)}
    if len(sizes) > 1:
        raise InvalidInputError(f"masks must have one size, not {sorted(sizes)}")
    if not a or not b:
        return np.zeros((len(a), len(b)))
    crowds = [int(is_crowd)] * len(b)
    shares = coco_mask.iou([to_coco(rle) for rle in a], [to_coco(rle) for rle in b], crowds)
    return np.asarray(shares, np.float64)
