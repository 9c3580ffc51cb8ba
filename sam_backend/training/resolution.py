"""Training a network at a smaller input first: most of the learning at a fraction of the price.

(Progressive resolution as in EfficientNetV2, arXiv 2104.00298.) SAM's encoder follows any input
size if it has no absolute positions: relative ones are interpolated by `segment_anything` itself.
"""

from collections.abc import Sequence

import numpy as np
import torch

from sam_backend.sam.reference import Sam
from sam_backend.training.examples import Example, padded_pixels


def set_input_size(sam: Sam, size: int) -> None:
    """Make `sam` expect squares of `size` pixels.

    Raises:
        ValueError: The encoder has absolute positions, or `size` is no multiple of its stride.
    """
    encoder, prompts = sam.image_encoder, sam.prompt_encoder
    if encoder.pos_embed is not None and size != encoder.img_size:
        raise ValueError(f"absolute positions fix the input at {encoder.img_size}, not {size}")
    stride = prompts.input_image_size[0] // prompts.image_embedding_size[0]
    if size % stride:
        raise ValueError(f"size must be a multiple of {stride}, not {size}")
    encoder.img_size = size
    prompts.input_image_size = (size, size)
    prompts.image_embedding_size = (size // stride, size // stride)
    prompts.mask_input_size = (4 * size // stride, 4 * size // stride)


def network_input(sam: Sam, examples: Sequence[Example]) -> torch.Tensor:
    """Normalised pixels with zeros in the padding, shape (B, 3, S, S) float32, as SAM wants."""
    stacked = torch.from_numpy(np.stack([example.image for example in examples])).to(sam.device)
    pixels: torch.Tensor = (stacked.permute(0, 3, 1, 2).float() - sam.pixel_mean) / sam.pixel_std
    padding = torch.from_numpy(padded_pixels(examples)).to(sam.device)[:, None]
    return pixels.masked_fill(padding, 0.0)
