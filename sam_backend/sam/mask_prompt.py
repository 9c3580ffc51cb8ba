"""A drawn mask as the model's mask prompt."""

import cv2
import numpy as np
import numpy.typing as npt

# The decoder was trained on its own logits; 10 is where their sigmoid is all but certain.
_CERTAIN = 10.0


def mask_to_logits(mask: npt.NDArray[np.bool_], mask_side: int) -> npt.NDArray[np.float32]:
    """Low-resolution logits that stand for a mask, as if the model had answered it.

    The image lies in the upper left of the model's padded square (its longest side fills it), and
    so does the mask; the padding is background. Edge pixels get logits in between by their share
    of foreground.

    Args:
        mask: Shape (H, W) bool, original image size.
        mask_side: Side L of the model's low-resolution logits.

    Returns:
        Shape (L, L) float32, from -10 to +10.
    """
    scale = mask_side / max(mask.shape)
    height, width = (max(1, round(side * scale)) for side in mask.shape)
    share = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    logits = np.full((mask_side, mask_side), -_CERTAIN, np.float32)
    logits[:height, :width] = (share * 2 - 1) * _CERTAIN
    return logits
