"""A drawn mask as the model's mask prompt."""

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.sam.preprocess import Resize

# The decoder was trained on its own logits; 10 is where their sigmoid is all but certain.
_CERTAIN = 10.0


def mask_to_logits(mask: npt.NDArray[np.bool_], resize: Resize) -> npt.NDArray[np.float32]:
    """Low-resolution logits that stand for a mask, as if the model had answered it.

    The mask lies in the logits as the image does in the model's square input; padding, where there
    is some, is background. Edge pixels get logits in between by their share of foreground.

    Args:
        mask: Shape (H, W) bool, original image size.
        resize: The model's, but with the side L of its low-resolution logits.

    Returns:
        Shape (L, L) float32, from -10 to +10.
    """
    height, width = resize.input_size((mask.shape[0], mask.shape[1]))
    share = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    logits = np.full((resize.side, resize.side), -_CERTAIN, np.float32)
    logits[:height, :width] = (share * 2 - 1) * _CERTAIN
    return logits
