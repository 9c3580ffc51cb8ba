"""The image tokens of B prompts, kept as factors instead of (B, N, C) numbers.

After any layer they are

    scale * base + sum over earlier layers of mix^T rows

with `base` a projection of the image (`ImageFactor`), `scale` one number for each pixel, `mix` the
attention probabilities of the pixels over the layer's tokens (divided by the deviations of the
norms since) and `rows` what each token adds. 56 numbers a pixel and layer stand for 256 in SAM.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from sam_backend.sam.decoder.image_side import ImageFactor, by_heads, dot_shared
from sam_backend.sam.decoder.weights import ImageToTokens, Projection, TokensToImage
from sam_backend.sam.high_resolution import HighResolution


@dataclass(frozen=True, slots=True, eq=False)
class Added:
    """What one layer has added to the image tokens.

    Attributes:
        values: The tokens' values and a 1, shape (B, H, T, d + 1).
        rows: What each token adds, shape (B, H*T, C).
        mix: How much each pixel takes of it, shape (B, H*T, N).
    """

    values: torch.Tensor
    rows: torch.Tensor
    mix: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """The image tokens after some layers.

    Attributes:
        image: The features' part.
        scale: Shape (B, N); None before the first layer, where it is 1.
        added: By layer.
    """

    image: ImageFactor
    scale: torch.Tensor | None = None
    added: tuple[Added, ...] = ()

    @property
    def finer(self) -> HighResolution | None:
        """Features finer than the cells, of 1 or B images; None if the network has none."""
        return self.image.finer

    def scores(
        self, projection: Projection, position: torch.Tensor, x: torch.Tensor
    ) -> torch.Tensor:
        """Attention scores of token rows `x` (B, H, T, d) and the pixels, shape (B, H, T, N)."""
        scores = self.image.dot(projection, x)
        if self.scale is not None:
            scores = scores.mul_(self.scale[:, None, None])
        scores = scores.add_(dot_shared(position, x))
        if not self.added:
            return scores
        sums = scores.flatten(1, 2)
        rows = by_heads(x, projection.keys).flatten(1, 2)
        for added in self.added:
            weights = torch.bmm(rows, added.rows.transpose(1, 2))
            sums = sums.baddbmm_(weights, added.mix)
        return sums.view(*x.shape[:3], -1)

    def attend(self, attention: TokensToImage, tokens: torch.Tensor) -> torch.Tensor:
        """What `tokens` (B, T, C) take from the image, shape (B, T, C)."""
        query = split_heads(F.linear(tokens, *attention.query), len(attention.value_bias))
        taken = self.scores(attention.key, attention.position, query).softmax(-1)
        values = self._pool(attention.value, taken) + attention.value_bias[:, None]
        out: torch.Tensor = attention.out(values.transpose(1, 2).flatten(2))
        return out

    def update(
        self, layer: int, attention: ImageToTokens, tokens: torch.Tensor, values: torch.Tensor
    ) -> "Keys":
        """The image tokens after they attended to a prompt's tokens, and after the norm.

        Args:
            layer: Its number.
            attention: Its weights.
            tokens: With their position, shape (B, T, C).
            values: Without, shape (B, T, C).
        """
        n_heads = len(attention.out)
        key = split_heads(F.linear(tokens, *attention.key), n_heads)
        mix = self.scores(attention.query, attention.position, key).softmax(2)
        value = split_heads(attention.value(values), n_heads)
        value = torch.cat([value, value.new_ones(*value.shape[:3], 1)], dim=3)
        rows = by_heads(value, attention.out).flatten(1, 2)
        before = (*self.added, Added(value, rows, mix.flatten(1, 2)))
        centred = [added.rows - added.rows.mean(2, keepdim=True) for added in before]
        variance = self._variance(layer, attention, before, centred)
        inverse = (variance + attention.eps).rsqrt()
        by_pixel = inverse[:, None]
        return Keys(
            image=self.image,
            scale=inverse if self.scale is None else self.scale * inverse,
            added=tuple(
                Added(added.values, rows * attention.gain, added.mix.mul_(by_pixel))
                for added, rows in zip(before, centred, strict=True)
            ),
        )

    def select(self, index: torch.Tensor) -> "Keys":
        """The same for the prompts at `index` (K,) int64."""
        rows = slice(int(index), int(index) + 1) if len(index) == 1 else index  # one: no copy
        return Keys(
            image=self.image.select(index),
            scale=None if self.scale is None else self.scale[rows],
            added=tuple(
                Added(added.values[rows], added.rows[rows], added.mix[rows]) for added in self.added
            ),
        )

    def _pool(self, projection: Projection, taken: torch.Tensor) -> torch.Tensor:
        """Sums of the projected pixels by `taken` (B, H, T, N), shape (B, H, T, d)."""
        rows = taken.flatten(1, 2)
        mixed = [
            torch.bmm(torch.bmm(rows, added.mix.transpose(1, 2)), added.rows)
            for added in self.added
        ]
        if self.scale is not None:
            taken = taken.mul_(self.scale[:, None, None])
        sums = self.image.pool(projection, taken)
        if not mixed:
            return sums
        by_head = sum(mixed[1:], start=mixed[0]).view(*taken.shape[:3], -1)
        return sums + by_heads(by_head, projection.keys.transpose(1, 2))

    def _variance(
        self,
        layer: int,
        attention: ImageToTokens,
        before: tuple[Added, ...],
        centred: list[torch.Tensor],
    ) -> torch.Tensor:
        """Over channels, of the image tokens with what this layer adds: shape (B, N).

        The squared length of a sum of factors: their own squares and twice each mixed product.
        """
        squares = self.image.centred_squares(layer)
        if self.scale is not None:
            squares = squares * self.scale.square()
        double = 2.0 if self.scale is None else 2 * self.scale[:, None]
        for i, added in enumerate(before):
            products = self.image.dot(attention.centred[i], added.values).flatten(1, 2).mul_(double)
            for j in range(i + 1):
                gram = torch.bmm(centred[i], centred[j].transpose(1, 2)) * (1 if i == j else 2)
                products = products.baddbmm_(gram, before[j].mix)
            squares = squares + products.mul_(added.mix).sum(1)
        return squares / centred[0].shape[2]


def split_heads(x: torch.Tensor, n_heads: int) -> torch.Tensor:
    """(B, T, H*d) to (B, H, T, d)."""
    return x.view(*x.shape[:2], n_heads, -1).transpose(1, 2)
