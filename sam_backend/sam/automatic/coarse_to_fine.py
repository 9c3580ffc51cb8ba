"""Fewer clicks: a coarse grid first, then only the points that no kept mask covers.

Opt-in (`AutomaticSettings.coarse_step`), for it changes results: a part is missed where the points
on it were skipped because a mask of the whole covers them.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from sam_backend.masks.rle import RLE


def levels(points_per_side: int, step: int) -> Iterator[npt.NDArray[np.int64]]:
    """A grid's points from coarse to fine; each point is in one level.

    Args:
        points_per_side: Points per side of the grid.
        step: Between rows and columns of the first level, a power of two; halved to 1.

    Yields:
        Indexes into the grid, row by row; shape (K,), ascending.
    """
    left = np.ones((points_per_side, points_per_side), np.bool_)
    while step:
        every = slice((step - 1) // 2, None, step)
        level = np.zeros_like(left)
        level[every, every] = left[every, every]
        left &= ~level
        yield np.flatnonzero(level)
        step //= 2


def covered(xy: npt.NDArray[np.float64], masks: Sequence[RLE]) -> npt.NDArray[np.bool_]:
    """Which points lie on any of the masks.

    Args:
        xy: Shape (N, 2), x before y, in the masks' pixels.
        masks: Masks of one size.

    Returns:
        Shape (N,).
    """
    is_covered = np.zeros(len(xy), np.bool_)
    columns, rows = xy.astype(np.int64).T
    for rle in masks:
        run_ends = np.cumsum(rle.counts, dtype=np.int64)
        run = np.searchsorted(run_ends, columns * rle.size[0] + rows, side="right")
        is_covered |= run % 2 == 1
    return is_covered
