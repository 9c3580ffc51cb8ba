"""What a path gave, in one form for both sides, so that it can be compared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sam_backend.masks.rle import RLE


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One mask.

    Attributes:
        key: What it is compared by, never its place in a list: click and mask number, or crop,
            point and mask index.
        rle: Its pixels.
        box: XYXY in inclusive pixels of the image.
        predicted_iou: The model's own estimate; None where no model took part.
        stability: IoU of the mask cut at -1 and +1; None where it is not told.
        logits: Low-resolution logits, shape (L, L); None where they are not told.
    """

    key: tuple[float, ...]
    rle: RLE
    box: tuple[float, float, float, float]
    predicted_iou: float | None = None
    stability: float | None = None
    logits: npt.NDArray[np.float32] | None = None


def box_of(mask: npt.NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """XYXY of the outermost pixels of a mask, shape (H, W); zeros if it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return (0.0, 0.0, 0.0, 0.0)
    return (float(columns[0]), float(rows[0]), float(columns[-1]), float(rows[-1]))


def n_different(one: RLE, other: RLE) -> int:
    """Pixels in which two masks of one image differ, from their runs alone.

    Raises:
        ValueError: The images have not the same size.
    """
    if one.size != other.size:
        raise ValueError(f"masks of {one.size} and {other.size} cannot be compared")
    edges = [np.cumsum(rle.counts, dtype=np.int64) for rle in (one, other)]
    both = np.union1d(*edges)
    lengths = np.diff(both, prepend=0)
    # a pixel is on where an odd number of runs, those of no length too, ended before it
    is_on = [np.searchsorted(ends, both, side="left") % 2 for ends in edges]
    return int(lengths[is_on[0] != is_on[1]].sum())


def by_key(outcomes: Sequence[Outcome]) -> dict[tuple[float, ...], Outcome]:
    """Outcomes by what they are compared by.

    Raises:
        ValueError: Two have the same key.
    """
    found = {outcome.key: outcome for outcome in outcomes}
    if len(found) != len(outcomes):
        raise ValueError(f"{len(outcomes)} outcomes have only {len(found)} keys")
    return found
