"""How well two masks agree along their outlines: Boundary IoU (Cheng et al., arXiv 2103.16562).

Plain IoU forgives ragged edges of large masks; this counts only pixels near the two outlines.
"""

import cv2
import numpy as np

from sam_backend.errors import InvalidInputError
from sam_backend.masks.overlap import mask_iou
from sam_backend.masks.rle import RLE, box, decode_part
from sam_backend.masks.types import Mask, check_mask, window

WIDTH_SHARE = 0.02
"""Width of the band as a share of the image's diagonal: the default of `mask_to_boundary` in the
published code (bowenc0221/boundary-iou-api)."""


def boundary_width(size: tuple[int, int]) -> int:
    """Width in pixels, at least 1, of the band inside an outline on an image of (height, width)."""
    height, width = size
    return max(1, round(WIDTH_SHARE * float(np.hypot(height, width))))


def boundary(mask: Mask, width_px: int) -> Mask:
    """The pixels of `mask` that an erosion of `width_px` steps with a 3x3 square takes away.

    The image's edge counts as outside, as in the published code.

    Args:
        mask: Shape (H, W) bool.
        width_px: At least 1.

    Returns:
        Shape (H, W) bool.
    """
    band = np.zeros_like(check_mask(mask))
    where = window(mask)
    if where is not None:
        inside = mask[where]
        framed = cv2.copyMakeBorder(inside.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        # eroding with a square n times takes what lies within n chessboard steps of the outside
        steps = cv2.distanceTransform(framed, cv2.DIST_C, cv2.DIST_MASK_3)[1:-1, 1:-1]
        band[where] = inside & (steps <= width_px)
    return band


def boundary_iou(a: Mask, b: Mask) -> float:
    """IoU of the bands inside the outlines of two masks of one shape (H, W), from 0 to 1.

    Raises:
        InvalidInputError: The shapes differ.
    """
    return mask_iou(
        boundary(a, boundary_width((a.shape[0], a.shape[1]))),
        boundary(b, boundary_width((b.shape[0], b.shape[1]))),
    )


def boundary_iou_of(a: RLE, b: RLE) -> float:
    """`boundary_iou` of run lengths, from the part of the image that holds both masks.

    Raises:
        InvalidInputError: The sizes differ.
    """
    if a.size != b.size:
        raise InvalidInputError(f"masks must have one size, not {a.size} and {b.size}")
    if np.array_equal(a.counts, b.counts):
        return 1.0
    boxes = [one for one in (box(a), box(b)) if one is not None]
    if len(boxes) < 2:
        return 0.0
    rows, columns = (
        slice(min(one.start for one in axis), max(one.stop for one in axis))
        for axis in zip(*boxes, strict=True)
    )
    width_px = boundary_width(a.size)
    bands = [boundary(decode_part(mask, rows, columns), width_px) for mask in (a, b)]
    return mask_iou(bands[0], bands[1])
