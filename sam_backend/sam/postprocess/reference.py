"""The reference way from logits to masks: full-size logits, one step after the other.

The fast ways must equal it (tests), and it serves where Numba is absent.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from sam_backend.masks.rle import encode
from sam_backend.masks.types import Mask, window
from sam_backend.sam.postprocess.types import Frame, MaskShape, stability_of


def shape(logits: torch.Tensor, frame: Frame, threshold: float, offset: float) -> MaskShape:
    """One mask of logits, shape (L, L) float32."""
    full = full_size_logits(logits, frame.input_side, frame.input_size, frame.image_size)
    mask: Mask = (full > threshold).cpu().numpy()
    rle = encode(mask)
    return MaskShape(rle, _box(mask), rle.area_px, stability(full, threshold, offset))


def full_size_logits(
    logits: torch.Tensor, side: int, input_size: tuple[int, int], image_size: tuple[int, int]
) -> torch.Tensor:
    """Brings logits to the original image's pixels, as `Sam.postprocess_masks` does.

    Args:
        logits: Shape (L, L) or (N, L, L), of the padded square input.
        side: Side of the square input in pixels.
        input_size: (height, width) of the resized image within the square.
        image_size: (height, width) of the original image.

    Returns:
        Shape (height, width) or (N, height, width) of the original image.
    """
    planes = logits[None, None] if logits.ndim == 2 else logits[:, None]
    square = F.interpolate(planes, (side, side), mode="bilinear", align_corners=False)
    cut = square[..., : input_size[0], : input_size[1]]
    full = F.interpolate(cut, image_size, mode="bilinear", align_corners=False)[:, 0]
    return full[0] if logits.ndim == 2 else full


def stability(logits: torch.Tensor, threshold: float = 0.0, offset: float = 1.0) -> float:
    """How little the mask changes when its threshold does: the IoU of the mask at both ends.

    As `segment_anything.utils.amg.calculate_stability_score`; the paper (appendix B) and the
    default take the logits at -1 and +1. An empty mask has stability 0.

    Args:
        logits: Full-size logits of one mask, shape (H, W).
        threshold: Where the mask is cut.
        offset: Distance of the two other cuts, in logits.
    """
    inner = torch.count_nonzero(logits > threshold + offset).item()
    outer = torch.count_nonzero(logits > threshold - offset).item()
    return stability_of(int(inner), int(outer))


def _box(mask: Mask) -> npt.NDArray[np.int64]:
    found = window(mask)
    if found is None:
        return np.zeros(4, np.int64)
    rows, columns = found
    return np.array([columns.start, rows.start, columns.stop - 1, rows.stop - 1], np.int64)
