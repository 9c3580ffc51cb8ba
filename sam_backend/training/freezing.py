"""Which weights of a network learn, for each depth; and back to plain weights afterwards.

An adapter is low-rank changes of the image encoder (LoRA, Hu et al., arXiv 2106.09685). Each
block's projection to queries, keys and values learns `weight + up @ down` with a rank of a few
while `weight` stays: under one hundredth of the encoder's weights learn, so that few images cannot
make it forget much. (SAMed, arXiv 2304.13785, does so with SAM, at rank 4.)
"""

import torch
from torch import nn
from torch.nn.utils import parametrize

from sam_backend.sam.reference import ImageEncoderViT, Sam
from sam_backend.training.plan import Depth


class LowRank(nn.Module):
    """Adds a matrix of low rank to a weight; at first, zero.

    Args:
        weight: The matrix to change, shape (out, in).
        rank: Rank of the change.
        generator: Draws the first weights, on the CPU.
    """

    def __init__(self, weight: torch.Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        n_out, n_in = weight.shape
        down = torch.randn(rank, n_in, generator=generator) / n_in**0.5
        self.down = nn.Parameter(down.to(weight.device))
        self.up = nn.Parameter(torch.zeros(n_out, rank, device=weight.device))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """`weight`, shape (out, in), and its change."""
        with torch.autocast(weight.device.type, enabled=False):
            return weight + self.up @ self.down


def add_adapters(encoder: ImageEncoderViT, rank: int, generator: torch.Generator) -> None:
    """Give each attention block a low-rank change, the only part of it that learns."""
    for block in encoder.blocks:
        projection = block.attn.qkv
        change = LowRank(projection.weight, rank, generator)
        parametrize.register_parametrization(projection, "weight", change)
        projection.parametrizations.weight.original.requires_grad_(requires_grad=False)


def merge_adapters(encoder: ImageEncoderViT) -> None:
    """Make each low-rank change part of the weight it changes; nothing happens without any."""
    for block in encoder.blocks:
        if parametrize.is_parametrized(block.attn.qkv, "weight"):
            parametrize.remove_parametrizations(block.attn.qkv, "weight")


def open_to_learning(sam: Sam, depth: Depth, rank: int = 4, seed: int = 0) -> None:
    """Let the weights of a depth learn and hold all others fixed.

    Args:
        sam: The network; changed in place.
        depth: What learns.
        rank: Rank of the adapter's low-rank changes.
        seed: Seed of the adapter's first weights.
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
