"""What the decoder needs of an image whatever the prompt, and the same for a prompt's own image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from sam_backend.sam.decoder.weights import DecoderWeights, Projection
from sam_backend.sam.high_resolution import HighResolution, stack, unpack


class ImageFactor(Protocol):
    """The features' part of the image tokens: each product with it, for B prompts at once.

    N is the number of pixels (cells of the embedding), H heads, T tokens of a prompt, d channels
    of a head, C channels.
    """

    @property
    def finer(self) -> HighResolution | None:
        """Features finer than the cells, of 1 or B images; None if the network has none."""
        ...

    def dot(self, projection: Projection, x: torch.Tensor) -> torch.Tensor:
        """Products of `x` (B, H, T, d) with the projected pixels, shape (B, H, T, N)."""
        ...

    def pool(self, projection: Projection, weights: torch.Tensor) -> torch.Tensor:
        """Sums of the projected pixels by `weights` (B, H, T, N), shape (B, H, T, d)."""
        ...

    def centred_squares(self, layer: int) -> torch.Tensor:
        """Sum over channels of the squared centred tokens, (B or 1, N)."""
        ...

    def upscaled(self) -> torch.Tensor:
        """The first deconvolution's product with the last tokens, shape (B or 1, N, C)."""
        ...

    def select(self, index: torch.Tensor) -> "ImageFactor":
        """The same for the prompts at `index` (K,) int64."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ImageFeatures:
    """The image encoder's output for one image, taken apart, on the network's device.

    Attributes:
        cells: The cells' own features, shape (C, h, w) float32.
        finer: Those finer than the cells; None if the network has none.
    """

    cells: torch.Tensor
    finer: HighResolution | None = None

    @classmethod
    def of(cls, features: torch.Tensor, channels: int) -> "ImageFeatures":
        """Take an encoder's output (C, h, w) or (4·C, h, w) apart; `channels` is C."""
        cells, finer = unpack(features[None], channels)
        return cls(cells[0], finer)


@dataclass(frozen=True, slots=True, eq=False)
class ImageSide:
    """One image, prepared for any number of prompts; nothing in it is written again.

    Attributes:
        features: The cells' own features, shape (C, h, w) float32.
        projected: By `Projection.index`: the image's projection, shape (H, d, N).
        squares: By layer: the centred tokens' squared length at each pixel, shape (1, N).
        deconvolved: Times the first deconvolution's weights, pixels first, shape (1, N, C).
        finer: See `ImageFactor`.
    """

    features: torch.Tensor
    projected: tuple[torch.Tensor, ...]
    squares: tuple[torch.Tensor, ...]
    deconvolved: torch.Tensor
    finer: HighResolution | None = None

    @property
    def n_bytes(self) -> int:
        """Memory held, in bytes: 32 MB for ViT-B, L and H."""
        finer = () if self.finer is None else (self.finer.half, self.finer.quarter)
        tensors = (self.features, *self.projected, *self.squares, self.deconvolved, *finer)
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def dot(self, projection: Projection, x: torch.Tensor) -> torch.Tensor:
        """See `ImageFactor`."""
        return dot_shared(self.projected[projection.index], x)

    def pool(self, projection: Projection, weights: torch.Tensor) -> torch.Tensor:
        """See `ImageFactor`."""
        image = self.projected[projection.index]
        by_head = weights.transpose(0, 1).flatten(1, 2)  # no copy for one prompt
        return by_prompt(torch.bmm(by_head, image.transpose(1, 2)), len(weights))

    def centred_squares(self, layer: int) -> torch.Tensor:
        """See `ImageFactor`."""
        return self.squares[layer]

    def upscaled(self) -> torch.Tensor:
        """See `ImageFactor`."""
        return self.deconvolved

    def select(self, index: torch.Tensor) -> "ImageSide":
        """See `ImageFactor`; all prompts share this."""
        return self


@dataclass(frozen=True, slots=True, eq=False)
class PromptImages:
    """The images of B prompts that change them: features plus each prompt's own mask.

    Projecting all pixels for one prompt would cost more than it saves, so here the few rows that
    meet the pixels are projected back onto the features' channels instead.

    Attributes:
        pixels: Shape (B, C, N).
        squares: By layer, shape (B, N).
        deconvolution: The first deconvolution's folded weights, shape (C, C).
        finer: See `ImageFactor`.
    """

    pixels: torch.Tensor
    squares: tuple[torch.Tensor, ...]
    deconvolution: torch.Tensor
    finer: HighResolution | None = None

    def dot(self, projection: Projection, x: torch.Tensor) -> torch.Tensor:
        """See `ImageFactor`."""
        rows = by_heads(x, projection.features).flatten(1, 2)
        return torch.bmm(rows, self.pixels).view(*x.shape[:3], -1)

    def pool(self, projection: Projection, weights: torch.Tensor) -> torch.Tensor:
        """See `ImageFactor`."""
        sums = torch.bmm(weights.flatten(1, 2), self.pixels.transpose(1, 2))
        by_head = sums.view(*weights.shape[:3], -1)
        return by_heads(by_head, projection.features.transpose(1, 2))

    def centred_squares(self, layer: int) -> torch.Tensor:
        """See `ImageFactor`."""
        return self.squares[layer]

    def upscaled(self) -> torch.Tensor:
        """See `ImageFactor`."""
        return self.pixels.transpose(1, 2) @ self.deconvolution

    def select(self, index: torch.Tensor) -> "PromptImages":
        """See `ImageFactor`."""
        squares = tuple(squares[index] for squares in self.squares)
        finer = None if self.finer is None else self.finer.select(index)
        return PromptImages(self.pixels[index], squares, self.deconvolution, finer)


def share(
    features: torch.Tensor,
    dense: torch.Tensor,
    weights: DecoderWeights,
    deconvolution: torch.Tensor,
) -> ImageSide:
    """Prepares one image for prompts without masks.

    Args:
        features: The image encoder's output, shape (C, h, w) float32, or (4·C, h, w) with finer
            features (`high_resolution`).
        dense: The prompt encoder's "no mask", shape (C,).
        weights: Weights of the decoder.
        deconvolution: The first deconvolution's folded weights, shape (C, C).
    """
    image = ImageFeatures.of(features, len(dense))
    pixels = image.cells.flatten(1) + dense[:, None]
    rows = torch.cat([projection.features.flatten(0, 1) for projection in weights.projections])
    sizes = [projection.features.shape[:2].numel() for projection in weights.projections]
    projected = torch.split(rows @ pixels, sizes)
    return ImageSide(
        features=image.cells,
        projected=tuple(part.view(weights.n_heads, -1, pixels.shape[1]) for part in projected),
        squares=_centred_squares(pixels[None], weights.gains),
        deconvolved=(pixels.T @ deconvolution)[None],
        finer=image.finer,
    )


def own_pixels(
    images: Sequence[ImageFeatures], dense: torch.Tensor
) -> tuple[torch.Tensor, HighResolution | None]:
    """The pixels of prompts with masks, shape (B, C, N), and what is finer than they are.

    Args:
        images: What each prompt is on, B of them; or one for all.
        dense: Dense embedding of each prompt, shape (B, C, h, w) float32.
    """
    cells = images[0].cells if len(images) == 1 else torch.stack([one.cells for one in images])
    finer = [one.finer for one in images if one.finer is not None]
    return (cells + dense).flatten(2), stack(finer) if finer else None


def own(
    pixels: torch.Tensor,
    finer: HighResolution | None,
    weights: DecoderWeights,
    deconvolution: torch.Tensor,
) -> PromptImages:
    """The images of prompts with masks as factors.

    Args:
        pixels: What `own_pixels` returned.
        finer: Likewise.
        weights: Weights of the decoder.
        deconvolution: The first deconvolution's folded weights, shape (C, C).
    """
    return PromptImages(
        pixels=pixels,
        squares=_centred_squares(pixels, weights.gains),
        deconvolution=deconvolution,
        finer=finer,
    )


def dot_shared(image: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Products of `x` (B, H, T, d) with `image` (H, d, N), shape (B, H, T, N)."""
    rows = x.transpose(0, 1).flatten(1, 2)
    return by_prompt(torch.bmm(rows, image), len(x))


def by_heads(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """`x` (B, H, T, d) times each head's own `weights` (H, d, D), shape (B, H, T, D)."""
    rows = x.transpose(0, 1).flatten(1, 2)
    return by_prompt(torch.bmm(rows, weights), len(x))


def by_prompt(x: torch.Tensor, n_prompts: int) -> torch.Tensor:
    """(H, B*T, D) to (B, H, T, D), no copy."""
    return x.view(len(x), n_prompts, -1, x.shape[2]).transpose(0, 1)


def _centred_squares(
    pixels: torch.Tensor, gains: tuple[torch.Tensor, ...]
) -> tuple[torch.Tensor, ...]:
    """By layer, for `pixels` (B, C, N): the sum over C of the squared centred tokens, (B, N)."""
    squares = []
    for gain in gains:
        pixels = pixels - pixels.mean(1, keepdim=True)
        squares.append(pixels.square().sum(1))
        pixels = pixels * gain[:, None]
    return tuple(squares)
