"""Masks put together and taken from each other, as run lengths: nothing is brought to full size."""

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import RLE, from_coco, to_coco


def union(masks: Sequence[RLE], size: tuple[int, int] | None = None) -> RLE:
    """Pixels that are in any of the masks.

    Args:
        masks: All of one size.
        size: (height, width) in pixels; needed where there may be no mask.

    Raises:
        InvalidInputError: The sizes differ, or there is neither a mask nor a size.
    """
    sizes = {mask.size for mask in masks} | ({size} if size is not None else set())
    if len(sizes) != 1:
        raise InvalidInputError(f"masks must have one size, not {sorted(sizes) or 'none'}")
    if not masks:
        (only,) = sizes
        return RLE(only, np.array([only[0] * only[1]], np.uint32))
    return masks[0] if len(masks) == 1 else _merged(masks, intersect=False)


def subtract(mask: RLE, taken: RLE) -> RLE:
    """Pixels of a mask that are not in another one of its size.

    Raises:
        InvalidInputError: The sizes differ.
    """
    if mask.size != taken.size:
        raise InvalidInputError(f"masks must have one size, not {mask.size} and {taken.size}")
    return _merged([mask, _complement(taken)], intersect=True)


def _complement(mask: RLE) -> RLE:
    # run lengths begin with the background's: one more or one less turns them over
    is_on_first = mask.counts[0] == 0
    counts = mask.counts[1:] if is_on_first else np.concatenate([[0], mask.counts])
    return RLE(mask.size, counts.astype(np.uint32))


def _merged(masks: Sequence[RLE], intersect: bool) -> RLE:
    return from_coco(coco_mask.merge([to_coco(mask) for mask in masks], intersect))
