"""SAM's mask decoder for many prompts on several images, rearranged for cheap gradients on a CPU.

The algebra is that of `segment_anything.modeling.MaskDecoder.predict_masks`, to which the tests
hold it equal. What differs: what the images alone decide is projected once for all prompts, and
the two stride-2 deconvolutions are matrix products in the channels-last layout, put into place
only where the masks are made.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from sam_backend.sam.high_resolution import HighResolution, unpack
from sam_backend.sam.reference import (
    Attention,
    MaskDecoder,
    TwoWayAttentionBlock,
    TwoWayTransformer,
)


def predict_masks(
    decoder: MaskDecoder,
    embeddings: torch.Tensor,
    position: torch.Tensor,
    sparse: torch.Tensor,
    dense: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """All masks and predicted IoUs of B * P prompts, the first P of which are on the first image.

    Args:
        decoder: Whose weights to use.
        embeddings: Embeddings of the images, shape (B, C, h, w), or (B, 4·C, h, w) with finer
            features (`sam.high_resolution`).
        position: The dense positional encoding, shape (1, C, h, w).
        sparse: Prompt tokens, shape (B * P, T, C).
        dense: Mask prompts, shape (B * P, C, h, w); (1, C, h, w) if the same for all prompts.

    Returns:
        Logits (B * P, 4, 4h, 4w) and predicted IoUs (B * P, 4).
    """
    n, n_masks = len(sparse), decoder.num_mask_tokens
    h, w = embeddings.shape[2:]
    embeddings, finer = unpack(embeddings, decoder.transformer_dim)
    outputs = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([outputs.expand(n, -1, -1), sparse], dim=1)
    images = _pixels_last(embeddings)
    images = images + _pixels_last(dense) if len(dense) == 1 else _add(images, _pixels_last(dense))
    queries, images = _transform(decoder.transformer, tokens, images, _pixels_last(position))
    weights = torch.stack(
        [mlp(queries[:, 1 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)], dim=1
    )
    fine = _upscale(decoder.output_upscaling, images, finer)
    cells = weights @ fine.flatten(1, -2).transpose(1, 2)
    # cell order: h, w, then the (2, 2) of the first and of the second deconvolution
    cells = cells.view(n, n_masks, h, w, 2, 2, 2, 2).permute(0, 1, 2, 4, 6, 3, 5, 7)
    return cells.reshape(n, n_masks, 4 * h, 4 * w), decoder.iou_prediction_head(queries[:, 0])


def _pixels_last(x: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) to (B, h * w, C)."""
    return x.flatten(2).transpose(1, 2)


def _add(few: torch.Tensor, many: torch.Tensor) -> torch.Tensor:
    """Add `few` (B, ...), one an image, to `many` (B * P, ...), one a prompt."""
    return (many.view(len(few), -1, *many.shape[1:]) + few[:, None]).flatten(0, 1)


def _transform(
    transformer: TwoWayTransformer, tokens: torch.Tensor, images: torch.Tensor, place: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The two-way transformer; `images` is one an image until the prompts have touched it."""
    queries = tokens
    layer: TwoWayAttentionBlock
    for layer in transformer.layers:
        if layer.skip_first_layer_pe:
            queries = _attend(layer.self_attn, queries, queries, queries)
        else:
            asked = queries + tokens
            queries = queries + _attend(layer.self_attn, asked, asked, queries)
        queries = layer.norm1(queries)
        placed = images + place
        seen = _attend(layer.cross_attn_token_to_image, queries + tokens, placed, images)
        queries = layer.norm2(queries + seen)
        queries = layer.norm3(queries + layer.mlp(queries))
        told = _attend(layer.cross_attn_image_to_token, placed, queries + tokens, queries)
        images = layer.norm4(_add(images, told))
    seen = _attend(transformer.final_attn_token_to_image, queries + tokens, images + place, images)
    return transformer.norm_final_attn(queries + seen), images


def _attend(
    attention: Attention, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> torch.Tensor:
    """Multi-head attention, (B * P, N, C); arguments that are one an image are projected once."""
    n = max(len(q), len(k))

    def heads(projection: nn.Module, x: torch.Tensor) -> torch.Tensor:
        split = projection(x).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2).float()
        many: torch.Tensor = split.repeat_interleave(n // len(x), 0) if len(x) < n else split
        return many

    split_heads = heads(attention.q_proj, q), heads(attention.k_proj, k), heads(attention.v_proj, v)
    # the bfloat16 kernel's backward is four times slower than the float32 one on a CPU
    with torch.autocast(q.device.type, enabled=False):
        mixed = F.scaled_dot_product_attention(*split_heads)
    out: torch.Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return out


def _upscale(
    upscaling: nn.Sequential, images: torch.Tensor, finer: HighResolution | None
) -> torch.Tensor:
    """(n, N, C) to (n, N, 16, C/8): each cell's sixteen finer ones, as two steps of 2 x 2."""
    layers: list[Any] = list(upscaling)
    first, norm, act, second, last_act = layers
    spread = _spread(first.weight, first.bias, images)
    if finer is not None:
        spread = _add(finer.half, spread)
    x = act(F.layer_norm(spread, spread.shape[-1:], norm.weight, norm.bias, norm.eps))
    spread = _spread(second.weight, second.bias, x)
    if finer is not None:
        spread = _add(finer.quarter, spread)
    fine: torch.Tensor = last_act(spread)
    return fine.flatten(2, 3)


def _spread(kernel: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """A 2x2 deconvolution of stride 2 as a matrix product: (..., C) to (..., 4, C')."""
    n_out = kernel.shape[1]
    weight = kernel.permute(2, 3, 1, 0).reshape(4 * n_out, -1)
    return F.linear(x, weight, bias.repeat(4)).view(*x.shape[:-1], 4, n_out)
