"""From low-resolution logits to masks of the original size."""

import torch
import torch.nn.functional as F


def full_size_logits(
    logits: torch.Tensor, side: int, input_size: tuple[int, int], image_size: tuple[int, int]
) -> torch.Tensor:
    """Brings logits to the original image's pixels, as `Sam.postprocess_masks` does.

    Args:
        logits: Shape (L, L), of the padded square input.
        side: Side of the square input in pixels.
        input_size: (height, width) of the resized image within the square.
        image_size: (height, width) of the original image.

    Returns:
        Shape (height, width) of the original image.
    """
    square = F.interpolate(logits[None, None], (side, side), mode="bilinear", align_corners=False)
    cut = square[..., : input_size[0], : input_size[1]]
    return F.interpolate(cut, image_size, mode="bilinear", align_corners=False)[0, 0]


def stability(logits: torch.Tensor, threshold: float = 0.0, offset: float = 1.0) -> float:
    """How little the mask changes when its threshold does: the IoU of the mask at both ends.

    As `segment_anything.utils.amg.calculate_stability_score`; the paper (appendix B) and the
    default take the logits at -1 and +1. An empty mask has stability 0, where the original divides
    by zero.

    Args:
        logits: Full-size logits of one mask, shape (H, W).
        threshold: Where the mask is cut.
        offset: Distance of the two other cuts, in logits.
    """
    inner = torch.count_nonzero(logits > threshold + offset).item()
    outer = torch.count_nonzero(logits > threshold - offset).item()
    return inner / outer if outer else 0.0
