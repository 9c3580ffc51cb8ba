"""Logits of all kinds in images of all kinds, and `segment_anything`'s own answers for them."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from segment_anything.modeling import Sam
from segment_anything.utils.amg import (
    batched_mask_to_box,
    calculate_stability_score,
    mask_to_rle_pytorch,
)

from sam_backend.sam.postprocess import Frame
from sam_backend.sam.preprocess import LongestSide

IMAGE_SIZES = {
    "landscape": (90, 200),
    "portrait": (331, 177),
    "the model's side": (256, 256),
    "smaller than the logits": (20, 33),
    "between logits and model": (100, 120),
    "much larger": (900, 1201),
    "one pixel wide": (300, 1),
    "one pixel high": (1, 300),
    "one pixel": (1, 1),
}
"""(height, width) of images for logits of side 64 and a model of side 256."""


def frame_of(image_size: tuple[int, int], mask_side: int = 64, input_side: int = 256) -> Frame:
    return Frame(mask_side, input_side, LongestSide(input_side).input_size(image_size), image_size)


def blobs(n_masks: int, side: int, seed: int = 0) -> torch.Tensor:
    """Logits of discs with uneven borders and bodies, shape (N, side, side); few px to half."""
    random = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    center = torch.rand(n_masks, 2, 1, 1, generator=random) * side
    radius = side * 10 ** (-1.8 + 1.5 * torch.rand(n_masks, 1, 1, generator=random))
    slope = 0.3 + 2 * torch.rand(n_masks, 1, 1, generator=random)
    distance = torch.hypot(x - center[:, 0], y - center[:, 1])
    noise = torch.randn(n_masks, 1, max(2, side // 8), max(2, side // 8), generator=random)
    rough = F.interpolate(noise, (side, side), mode="bicubic", align_corners=False)[:, 0]
    return ((radius - distance) * slope).clamp(-18, 14) + 1.5 * rough


def odd_planes(side: int) -> torch.Tensor:
    """Empty, full, noise, flat at a cut, whole numbers, stripes, one logit: (N, side, side)."""
    random = torch.Generator().manual_seed(7)
    noise = torch.randn(side, side, generator=random)
    stripes = torch.full((side, side), -5.0)
    stripes[::2] = 5
    one = torch.full((side, side), -9.0)
    one[side // 3, side // 4] = 9
    planes = [
        torch.full((side, side), -20.0),
        torch.full((side, side), 20.0),
        torch.full((side, side), -0.5),
        torch.zeros(side, side),
        torch.ones(side, side),
        noise,
        (3 * noise).round(),
        stripes,
        stripes.T,
        one,
        -one,
    ]
    return torch.stack([plane.contiguous() for plane in planes])


@dataclass(frozen=True, eq=False)
class Reference:
    """`segment_anything`'s answers for N masks.

    Attributes:
        counts: Run lengths of each.
        boxes: Shape (N, 4).
        stabilities: Shape (N,); 0 where it divides by zero.
    """

    counts: list[list[int]]
    boxes: np.ndarray
    stabilities: np.ndarray


def reference(
    logits: torch.Tensor, frame: Frame, threshold: float = 0.0, offset: float = 1.0
) -> Reference:
    # all that postprocess_masks wants of a network is the side of its input
    network = SimpleNamespace(image_encoder=SimpleNamespace(img_size=frame.input_side))
    sizes = frame.input_size, frame.image_size
    full = Sam.postprocess_masks(network, logits[:, None], *sizes)[:, 0]
    masks = full > threshold
    return Reference(
        counts=[rle["counts"] for rle in mask_to_rle_pytorch(masks)],
        boxes=batched_mask_to_box(masks).numpy(),
        stabilities=calculate_stability_score(full, threshold, offset).nan_to_num(0).numpy(),
    )
