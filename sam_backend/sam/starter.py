"""The first starters' network, a SAM of 2.4 million parameters, and what all starters have alike.

No checkpoint of it ships any more; those that were retrained from one that did are loaded by it.

The classes are `segment_anything`'s own, with smaller sizes; only the patch embedding differs. A
strided convolution stem learns much faster from little data than one large patch projection
(Xiao et al., "Early Convolutions Help Transformers See Better", arXiv 2106.14881).
"""

from functools import partial
from typing import Final

import torch
from torch import nn

from sam_backend.sam.reference import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)

IMAGE_SIZE: Final = 512
"""Side of the padded square that the encoder sees, in pixels."""
STRIDE: Final = 16
"""Pixels of the padded square per embedding cell, as in SAM."""
EMBEDDING_SIZE: Final = IMAGE_SIZE // STRIDE
"""Side of the image embedding, in cells."""
MASK_SIZE: Final = 4 * EMBEDDING_SIZE
"""Side of the low-resolution logits, in cells."""

ENCODER_DIM: Final = 160
ENCODER_DEPTH: Final = 5
ENCODER_HEADS: Final = 5
WINDOW: Final = 8
GLOBAL_BLOCKS: Final = (2, 4)
PROMPT_DIM: Final = 128
_MATCH_GAIN: Final = 3.0
_VALUE_GAIN: Final = 1.5
_TOKEN_GAIN: Final = 0.2


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of (B, C, H, W), free of copies in the channels-last layout."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise every pixel's channels of `x`, shape (B, C, H, W)."""
        normed: torch.Tensor = super().forward(x.permute(0, 2, 3, 1))
        return normed.permute(0, 3, 1, 2)


class ResidualConv(nn.Module):
    """Norm, 3x3 convolution and GELU, added to the input; shape (B, C, H, W) kept."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.act = nn.GELU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the convolved features to `x`."""
        added: torch.Tensor = self.act(self.conv(self.norm(x)))
        return x + added


class ConvStem(nn.Sequential):
    """Overlapping strided convolutions from pixels to tokens, in place of SAM's PatchEmbed."""

    def __init__(self, dim: int) -> None:
        super().__init__(
            nn.Conv2d(3, 32, 7, stride=4, padding=3),
            ChannelNorm(32),
            nn.GELU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            ResidualConv(64),
            ResidualConv(64),
            ChannelNorm(64),
            nn.Conv2d(64, dim, 3, stride=2, padding=1),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map `image` (B, 3, S, S), normalised, to tokens (B, S/16, S/16, dim)."""
        x = image.contiguous(memory_format=torch.channels_last)
        features = x
        for layer in self:
            features = layer(features)
        return features.permute(0, 2, 3, 1)


def build_starter() -> Sam:
    """A fresh starter in eval mode, with random weights."""
    encoder = ImageEncoderViT(
        img_size=IMAGE_SIZE,
        patch_size=STRIDE,
        embed_dim=ENCODER_DIM,
        depth=ENCODER_DEPTH,
        num_heads=ENCODER_HEADS,
        out_chans=PROMPT_DIM,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        mlp_ratio=3.0,
        use_abs_pos=False,
        use_rel_pos=True,
        window_size=WINDOW,
        global_attn_indexes=GLOBAL_BLOCKS,
    )
    encoder.patch_embed = ConvStem(ENCODER_DIM)
    sam = Sam(encoder, prompt_encoder(), mask_decoder(MaskDecoder)).eval()
    _attend_to_positions(sam)
    return sam


def prompt_encoder() -> PromptEncoder:
    """A fresh prompt encoder of the starters, `PROMPT_DIM` wide."""
    return PromptEncoder(
        embed_dim=PROMPT_DIM,
        image_embedding_size=(EMBEDDING_SIZE, EMBEDDING_SIZE),
        input_image_size=(IMAGE_SIZE, IMAGE_SIZE),
        mask_in_chans=16,
    )


def mask_decoder(kind: type[MaskDecoder]) -> MaskDecoder:
    """A fresh mask decoder of the starters, `PROMPT_DIM` wide; `kind` is its class."""
    return kind(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(depth=2, embedding_dim=PROMPT_DIM, mlp_dim=512, num_heads=4),
        transformer_dim=PROMPT_DIM,
        iou_head_depth=3,
        iou_head_hidden_dim=128,
    )


@torch.no_grad()
def _attend_to_positions(sam: Sam) -> None:
    """Start with attention between a prompt and the image round it; training sharpens it.

    With independent random projections a click moves all logits alike, and training from scratch
    sat on a plateau (one answer for all clicks) for longer than our budget. So queries and keys
    between tokens and image start with the same projection, which makes equal positions match,
    and the learned tokens start small beside the positional encoding. Gains chosen on scenes.
    """
    transformer, prompts, decoder = (
        sam.mask_decoder.transformer,
        sam.prompt_encoder,
        sam.mask_decoder,
    )
    crossings = [transformer.final_attn_token_to_image]
    for layer in transformer.layers:
        crossings += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
    for attention in crossings:
        attention.q_proj.weight.mul_(_MATCH_GAIN)
        attention.k_proj.weight.copy_(attention.q_proj.weight)
        attention.v_proj.weight.mul_(_VALUE_GAIN)
        attention.out_proj.weight.mul_(_VALUE_GAIN)
    tokens = [*prompts.point_embeddings, prompts.not_a_point_embed, prompts.no_mask_embed]
    for token in (*tokens, decoder.iou_token, decoder.mask_tokens):
        token.weight.mul_(_TOKEN_GAIN)
