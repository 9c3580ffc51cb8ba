"""Many masks at once with tensors on their own device; nothing but the answers leaves it.

Its full-size logits come from the very calls of `Sam.postprocess_masks`, so its masks are the
reference's to the last pixel. The gain over the reference: no loop over masks with a wait for the
device in each, and run lengths leave the device as the few places where a mask changes.
"""

import numpy as np
import numpy.typing as npt
import torch

from sam_backend.masks.rle import from_changes
from sam_backend.sam.postprocess.reference import full_size_logits
from sam_backend.sam.postprocess.types import Frame, MaskShape, stability_of
from sam_backend.sam.reference import batched_mask_to_box

MAX_PIXELS_AT_ONCE = 1 << 26
"""At about 15 bytes a pixel 1 GB on the device; far below the 2^31 that `nonzero` takes."""


def shapes(
    logits: torch.Tensor,
    frame: Frame,
    threshold: float,
    offset: float,
    max_pixels_at_once: int = MAX_PIXELS_AT_ONCE,
) -> list[MaskShape]:
    """The masks of logits, shape (N, L, L) float32, in parts of at most so many image pixels.

    A part holds at least one mask, however large the image.
    """
    height, width = frame.image_size
    pixels = max(height * width, frame.input_side**2)
    n_at_once = max(1, max_pixels_at_once // pixels)
    return [
        shape
        for start in range(0, len(logits), n_at_once)
        for shape in _part(logits[start : start + n_at_once], frame, threshold, offset)
    ]


def _part(logits: torch.Tensor, frame: Frame, threshold: float, offset: float) -> list[MaskShape]:
    full = full_size_logits(logits, frame.input_side, frame.input_size, frame.image_size)
    inner = torch.count_nonzero(full > threshold + offset, dim=(1, 2))
    outer = torch.count_nonzero(full > threshold - offset, dim=(1, 2))
    masks = full > threshold
    del full
    changes = _changes(masks)
    numbers = torch.stack([inner, outer], dim=1).tolist()
    boxes = batched_mask_to_box(masks).cpu().numpy().astype(np.int64)
    answers = []
    for (inner_px, outer_px), box, places in zip(numbers, boxes, changes, strict=True):
        rle = from_changes(places, frame.image_size)
        answers.append(MaskShape(rle, box, rle.area_px, stability_of(inner_px, outer_px)))
    return answers


def _changes(masks: torch.Tensor) -> list[npt.NDArray[np.int64]]:
    """Where each mask, shape (N, H, W), changes going down its columns.

    Returns:
        N times the indexes of pixels that differ from the one before, which for the first is off.
    """
    n_masks, height, width = masks.shape
    pixels = height * width
    columns = masks.transpose(1, 2).reshape(n_masks, pixels)
    is_change = columns.clone()
    is_change[:, 1:] ^= columns[:, :-1]
    places = is_change.view(-1).nonzero()[:, 0].cpu().numpy()
    ends = np.searchsorted(places, np.arange(1, n_masks) * pixels)
    return [part - index * pixels for index, part in enumerate(np.split(places, ends))]
