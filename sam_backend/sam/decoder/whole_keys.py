"""The image tokens of B prompts as they are, for prompts whose own image is not worth factoring.

A prompt with a mask shares nothing of its image with others. Then the factors of `keys.py` pay as
long as the rows that meet the pixels, tokens times heads, are fewer than the channels that the
pixels would be projected to. From there on (`is_cheaper`) this is `segment_anything`'s arithmetic,
with torch's fused attention.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from sam_backend.sam.decoder.weights import ImageToTokens, TokensToImage
from sam_backend.sam.high_resolution import HighResolution
from sam_backend.sam.reference import Attention


@dataclass(frozen=True, slots=True, eq=False)
class WholeKeys:
    """The image tokens after some layers; the same questions can be asked as of `Keys`.

    Attributes:
        pixels: Shape (B, N, C).
        position: The positional encoding, shape (N, C).
        finer: Features finer than the cells, of 1 or B images; None if the network has none.
    """

    pixels: torch.Tensor
    position: torch.Tensor
    finer: HighResolution | None = None

    def attend(self, attention: TokensToImage, tokens: torch.Tensor) -> torch.Tensor:
        """What `tokens` (B, T, C) take from the image, shape (B, T, C)."""
        return _attended(attention.module, tokens, self.pixels + self.position, self.pixels)

    def update(
        self, layer: int, attention: ImageToTokens, tokens: torch.Tensor, values: torch.Tensor
    ) -> "WholeKeys":
        """The image tokens after they attended to a prompt's tokens, and after the norm.

        Args:
            layer: Its number.
            attention: Its weights.
            tokens: With their position, shape (B, T, C).
            values: Without, shape (B, T, C).
        """
        added = _attended(attention.module, self.pixels + self.position, tokens, values)
        return replace(self, pixels=attention.norm(added.add_(self.pixels)))

    def select(self, index: torch.Tensor) -> "WholeKeys":
        """The same for the prompts at `index` (K,) int64."""
        finer = None if self.finer is None else self.finer.select(index)
        return replace(self, pixels=self.pixels[index], finer=finer)


def is_cheaper(attention: Attention, n_tokens: int) -> bool:
    """Whether image tokens are to be kept whole for prompts of so many tokens.

    Args:
        attention: One that crosses between tokens and image.
        n_tokens: The decoder's own and the prompt's.
    """
    return bool(n_tokens * attention.num_heads >= attention.internal_dim)


def _attended(
    attention: Attention, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> torch.Tensor:
    """`Attention.forward`, without (B, H, T, N) scores in memory."""
    projected = (attention.q_proj(q), attention.k_proj(k), attention.v_proj(v))
    heads = [x.unflatten(2, (attention.num_heads, -1)).transpose(1, 2) for x in projected]
    out: torch.Tensor = attention.out_proj(
        F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
    )
    return out
