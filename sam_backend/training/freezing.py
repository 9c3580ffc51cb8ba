"""Which weights of a network learn, for each depth; and back to plain weights afterwards."""

import torch

from sam_backend.sam.reference import Sam
from sam_backend.training.adapter import add_adapters, merge_adapters
from sam_backend.training.trainable_scope import Depth


def open_to_learning(sam: Sam, depth: Depth, rank: int = 4, seed: int = 0) -> None:
    """Let the weights of a depth learn and hold all others fixed.

    Args:
        sam: The network; changed in place.
        depth: What learns.
        rank: Of the adapter's low-rank changes.
        seed: Of the adapter's first weights.
    """
    sam.requires_grad_(requires_grad=False)
    learning = [sam] if depth is Depth.FULL else [sam.prompt_encoder, sam.mask_decoder]
    for part in learning:
        part.requires_grad_(requires_grad=True)
    if depth is Depth.ADAPTER:
        add_adapters(sam.image_encoder, rank, torch.Generator().manual_seed(seed))


def close_to_learning(sam: Sam) -> None:
    """Make a network as it was loaded: plain weights, eval mode, no gradients."""
    merge_adapters(sam.image_encoder)
    sam.eval().requires_grad_(requires_grad=False)
