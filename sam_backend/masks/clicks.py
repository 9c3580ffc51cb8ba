"""Where an annotator would click or draw a box: the geometry shared by training and quality.

Training prompts are the SAM paper's (arXiv 2304.02643, appendix A): random points and noisy boxes.
Evaluation clicks are those of the published click benchmarks (RITM, arXiv 2102.06583, and those
after it): at the pixel of an error that lies farthest from the error's border.
"""

from collections.abc import Collection

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.masks.types import window

MAX_BOX_SHIFT_PX = 20.0
"""Appendix A: box corners shift by 10 % of the side (standard deviation), 20 px at the most."""


def depth(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Distance of each pixel of `mask` to the nearest pixel outside, shape (H, W), in pixels.

    Exact Euclidean distances between pixel centres. The image's edge counts as outside, so that the
    deepest point is never on the edge.
    """
    distances = np.zeros(mask.shape, np.float32)
    where = window(mask)
    if where is not None:
        distances[where] = _depth_within(mask[where])
    return distances


def _depth_within(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """`depth` of a mask that has pixels in its first and last rows and columns."""
    framed = cv2.copyMakeBorder(
        np.ascontiguousarray(mask).view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0
    )
    distances = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Squares of distances between pixels are whole numbers. OpenCV's own roots differ in their last
    # bit with the place of the array in memory, so that the deepest of two equals was chance.
    squares = np.rint(np.square(np.asarray(distances[1:-1, 1:-1], np.float32)))
    exact: npt.NDArray[np.float32] = np.sqrt(squares, out=squares)
    return exact


def deepest_point(mask: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """The pixel (x, y) of `mask` farthest from its boundary; of several, the topmost leftmost.

    Raises:
        ValueError: The mask is empty.
    """
    distance, point = _deepest(mask)
    if not distance:
        raise ValueError("an empty mask has no deepest point")
    return point


def _deepest(
    mask: npt.NDArray[np.bool_], without: Collection[tuple[int, int]] = ()
) -> tuple[float, tuple[int, int]]:
    """The largest depth of a mask, and the first pixel (x, y) that has it, row by row.

    Args:
        mask: Shape (H, W).
        without: Pixels (x, y) that are not looked at; they still belong to the mask.

    Returns:
        The depth in pixels; 0 if no pixel is left, and then the pixel means nothing.
    """
    where = window(mask)
    if where is None:
        return 0.0, (0, 0)
    rows, columns = where
    distances = _depth_within(mask[where])
    for x, y in without:
        if rows.start <= y < rows.stop and columns.start <= x < columns.stop:
            distances[y - rows.start, x - columns.start] = 0
    row, column = divmod(int(distances.argmax()), distances.shape[1])
    return float(distances[row, column]), (columns.start + column, rows.start + row)


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
    truth: npt.NDArray[np.bool_],
    predicted: npt.NDArray[np.bool_],
    clicked: Collection[tuple[int, int]] = (),
) -> tuple[tuple[int, int], bool] | None:
    """The next click of a benchmark: the centre of the largest error region.

    What was missed and what was claimed wrongly are looked at apart; the click goes to the pixel
    that lies farthest from the border of its error, a negative one where both have one as far.
    This is `Clicker` of RITM's code, with one difference: where every wrong pixel was clicked
    already, RITM clicks on the image's corner, and here there is no click.

    Args:
        truth: The mask wanted, shape (H, W), without pixels that do not count.
        predicted: The answer, likewise.
        clicked: Pixels (x, y) that were clicked already; none is clicked twice.

    Returns:
        The pixel (x, y), and whether it is a positive click (the region was missed) or a negative
        one (it was claimed wrongly). None if no pixel is wrong that was not clicked yet.
    """
    missed, at_missed = _deepest(truth & ~predicted, clicked)
    claimed, at_claimed = _deepest(predicted & ~truth, clicked)
    if not missed and not claimed:
        return None
    return (at_missed, True) if missed > claimed else (at_claimed, False)


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
