"""Where low-resolution logits lie in the image, and what is made of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sam_backend.masks.rle import RLE


@dataclass(frozen=True, slots=True)
class Frame:
    """How low-resolution logits lie in an image.

    Attributes:
        mask_side: Side of the logits, L.
        input_side: Side of the model's padded square input in pixels.
        input_size: (height, width) of the resized image within the square, from its upper left.
        image_size: (height, width) of the original image.
    """

    mask_side: int
    input_side: int
    input_size: tuple[int, int]
    image_size: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class MaskShape:
    """One mask of the original image's size.

    Attributes:
        rle: Its run lengths.
        box: Its outermost pixels x0, y0, x1, y1, all four within the mask (x1 - x0 + 1 pixels
            wide), shape (4,) int64, as `segment_anything.utils.amg.batched_mask_to_box`; zeros
            for an empty mask.
        area_px: Its number of pixels.
        stability: Its IoU between a higher and a lower threshold (paper, appendix B).
    """

    rle: RLE
    box: npt.NDArray[np.int64]
    area_px: int
    stability: float


def stability_of(inner_px: int, outer_px: int) -> float:
    """IoU of the mask at the higher and at the lower threshold: one lies within the other.

    An empty mask has stability 0, where `calculate_stability_score` divides by zero.
    """
    return inner_px / outer_px if outer_px else 0.0
