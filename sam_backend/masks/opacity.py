"""Masks from pictures with soft edges."""

import numpy as np
import numpy.typing as npt

from sam_backend.masks.types import Mask


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
