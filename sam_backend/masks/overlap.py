"""How much two masks have in common."""

import numpy as np

from sam_backend.errors import InvalidInputError
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
