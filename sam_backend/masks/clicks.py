"""Where an annotator would click or draw a box: the geometry shared by training and quality.

The rules are the SAM paper's (arXiv 2304.02643): evaluation clicks lie farthest from the boundary
(section 7.1), training prompts are random points and noisy boxes (appendix A).
"""

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.masks.types import window

MAX_BOX_SHIFT_PX = 20.0
"""Appendix A: box corners shift by 10 % of the side (standard deviation), 20 px at the most."""


def depth(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Distance of each pixel of `mask` to the nearest pixel outside, shape (H, W), in pixels.

    The image's edge counts as outside, so that the deepest point is never on the edge.
    """
    framed = np.pad(mask, 1).astype(np.uint8)
    distance = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(distance[1:-1, 1:-1], np.float32)


def deepest_point(mask: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """The pixel (x, y) of `mask` farthest from its boundary.

    Raises:
        ValueError: The mask is empty.
    """
    if not mask.any():
        raise ValueError("an empty mask has no deepest point")
    y, x = np.unravel_index(int(depth(mask).argmax()), mask.shape)
    return int(x), int(y)


def random_point(mask: npt.NDArray[np.bool_], rng: np.random.Generator) -> tuple[int, int]:
    """A random pixel (x, y) of `mask`, the likelier the deeper it lies.

    Raises:
        ValueError: The mask is empty.
    """
    cumulated = depth(mask).ravel().cumsum(dtype=np.float64)
    if cumulated[-1] <= 0:
        raise ValueError("an empty mask has no point")
    at = int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right"))
    y, x = divmod(min(at, mask.size - 1), mask.shape[1])
    return x, y


def correction_click(
    truth: npt.NDArray[np.bool_], predicted: npt.NDArray[np.bool_]
) -> tuple[tuple[int, int], bool] | None:
    """The click that mends most: the centre of the largest error region.

    Returns:
        The pixel (x, y), and whether it is a positive click (the region was missed) or a negative
        one (it was claimed wrongly). None if the masks agree.
    """
    error = truth ^ predicted
    if not error.any():
        return None
    _, labels, stats, _ = cv2.connectedComponentsWithStats(error.astype(np.uint8), connectivity=8)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y = deepest_point(labels == largest)
    return (x, y), bool(truth[y, x])


def tight_box(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Box x0 y0 x1 y1 round the pixels of `mask`, right and bottom edges included, shape (4,).

    Raises:
        ValueError: The mask is empty.
    """
    where = window(mask)
    if where is None:
        raise ValueError("an empty mask has no box")
    rows, columns = where
    return np.array([columns.start, rows.start, columns.stop, rows.stop], np.float32)


def noisy_box(
    mask: npt.NDArray[np.bool_], rng: np.random.Generator, max_shift_px: float = MAX_BOX_SHIFT_PX
) -> npt.NDArray[np.float32]:
    """A tight box whose corners a hand has placed inexactly, x0 y0 x1 y1, shape (4,)."""
    box = tight_box(mask)
    sides = np.array([box[2] - box[0], box[3] - box[1]] * 2, np.float32)
    shift = np.clip(rng.normal(0, 0.1, 4) * sides, -max_shift_px, max_shift_px)
    limit = np.array([mask.shape[1], mask.shape[0]] * 2, np.float32)
    noisy = np.clip(box + shift, 0, limit).astype(np.float32)
    grown = noisy[2:] > noisy[:2]
    return noisy if grown.all() else box
