"""The mask itself: which pixels of an image belong to one object."""

import numpy as np
import numpy.typing as npt

from sam_backend.errors import InvalidInputError

Mask = npt.NDArray[np.bool_]
"""Pixels of one object, shape (H, W) bool, original image size."""


def check_mask(mask: Mask) -> Mask:
    """The same array, once its shape and dtype are known to be a mask's.

    Raises:
        InvalidInputError: The array is not (H, W) bool with at least one pixel.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_ or mask.size == 0:
        raise InvalidInputError(
            f"a mask must be bool with shape (H, W), not {mask.dtype} with shape {mask.shape}"
        )
    return mask


def window(mask: Mask) -> tuple[slice, slice] | None:
    """The smallest rows and columns that hold all pixels of a mask; None if it has none."""
    rows = np.flatnonzero(check_mask(mask).any(axis=1))
    if not len(rows):
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return (
        slice(int(rows[0]), int(rows[-1]) + 1),
        slice(int(columns[0]), int(columns[-1]) + 1),
    )


def mask_from_opacity(opacity: npt.NDArray[np.uint8]) -> Mask:
    """Pixels at least half as opaque as the most opaque one.

    Brushes draw soft edges, half of whose opacity marks the stroke's border; relative, since
    `label_studio_sdk`'s `mask2rle` writes the numbers of its input, which may be 0 and 1.

    Args:
        opacity: Alpha channel, shape (H, W) uint8.

    Returns:
        Shape (H, W) bool; no pixel where all are transparent.
    """
    threshold = max((int(opacity.max()) + 1) // 2, 1)
    mask: Mask = opacity >= threshold
    return mask
