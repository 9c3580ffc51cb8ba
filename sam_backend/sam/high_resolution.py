"""Features finer than the embedding's cells, for sharp mask borders.

The mask decoder upscales the embedding twice by two. SAM 2 (arXiv 2408.00714) and HQ-SAM
(arXiv 2306.01567) add the image encoder's own finer features in between. Here they travel inside
the embedding, as further channels: what caches, files and tests know as one tensor stays one.

An embedding of a network whose decoder is C channels wide has C channels without such features, or
4·C with them, by cell:

    C        the cell's own features, which the two-way transformer reads
    4 · C/4  of its 2x2 sub-cells, row by row, each with C/4 channels: added after the first
             upscaling
    16 · C/8 of its 4x4 sub-cells: first the 2x2 sub-cells row by row, in each of them 2x2 finer
             ones row by row, each with C/8 channels: added after the second upscaling

This is the order in which both decoders of ours keep what they upscale.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True, eq=False)
class HighResolution:
    """The finer features of B images; N is the number of cells, h * w.

    Attributes:
        half: Features of 2x2 sub-cells, shape (B, N, 4, C/4).
        quarter: Features of 4x4 sub-cells, shape (B, N, 4, 4, C/8).
    """

    half: torch.Tensor
    quarter: torch.Tensor

    def select(self, index: torch.Tensor) -> "HighResolution":
        """The same for the images at `index` (K,) int64; of a single image it is shared."""
        if len(self.half) == 1:
            return self
        return HighResolution(self.half[index], self.quarter[index])


def pack(cells: torch.Tensor, half: torch.Tensor, quarter: torch.Tensor) -> torch.Tensor:
    """Put features of three resolutions into one embedding.

    Args:
        cells: Shape (B, C, h, w).
        half: Shape (B, C/4, 2h, 2w).
        quarter: Shape (B, C/8, 4h, 4w).

    Returns:
        Shape (B, 4·C, h, w).
    """
    b, _, h, w = cells.shape
    halves = half.reshape(b, -1, h, 2, w, 2).permute(0, 3, 5, 1, 2, 4)
    quarters = quarter.reshape(b, -1, h, 2, 2, w, 2, 2).permute(0, 3, 6, 4, 7, 1, 2, 5)
    return torch.cat([cells, halves.reshape(b, -1, h, w), quarters.reshape(b, -1, h, w)], dim=1)


def unpack(embeddings: torch.Tensor, channels: int) -> tuple[torch.Tensor, HighResolution | None]:
    """Take an embedding apart.

    Args:
        embeddings: Shape (B, C, h, w) or (B, 4·C, h, w).
        channels: C, the width of the mask decoder (`MaskDecoder.transformer_dim`).

    Returns:
        The cells' own features, shape (B, C, h, w), a view; and the finer ones, if there are any.
    """
    cells, finer = embeddings[:, :channels], embeddings[:, channels:]
    if not finer.shape[1]:
        return cells, None
    by_cell = finer.flatten(2).transpose(1, 2)
    half, quarter = by_cell[..., :channels].contiguous(), by_cell[..., channels:].contiguous()
    return cells, HighResolution(
        half.view(*half.shape[:2], 4, -1), quarter.view(*quarter.shape[:2], 4, 4, -1)
    )


def stack(images: Sequence[HighResolution]) -> HighResolution:
    """The finer features of several images as those of one batch; at least one image."""
    if len(images) == 1:
        return images[0]
    return HighResolution(
        torch.cat([one.half for one in images]), torch.cat([one.quarter for one in images])
    )


def as_images(finer: HighResolution, cells: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The finer features as `pack` took them: (B, C/4, 2h, 2w) and (B, C/8, 4h, 4w).

    Args:
        finer: What `unpack` returned.
        cells: The embedding's (h, w).
    """
    h, w = cells
    b = len(finer.half)
    half = finer.half.view(b, h, w, 2, 2, -1).permute(0, 5, 1, 3, 2, 4)
    quarter = finer.quarter.view(b, h, w, 2, 2, 2, 2, -1).permute(0, 7, 1, 3, 5, 2, 4, 6)
    return half.reshape(b, -1, 2 * h, 2 * w), quarter.reshape(b, -1, 4 * h, 4 * w)
