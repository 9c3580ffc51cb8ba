"""One transformer block of the image encoder, run in parts that fit a CPU's caches."""

from math import ceil

import torch
from torch import nn

from sam_backend.sam.attention import Attention, PositionTables, attend
from sam_backend.sam.attention_choice import AttentionCase
from sam_backend.sam.linear import PART_TOKENS, linear
from sam_backend.sam.precision import Precision
from sam_backend.sam.reference import image_encoder as reference


class EncoderBlock(nn.Module):
    """Adds attention and MLP to tokens, as `segment_anything`'s `Block` does.

    Differences in the work, not in the answer: tables of positions are made once; tokens that only
    fill the last windows up are not projected, since their projection is the bias; residuals stay
    float32 in every precision, so that sums over many blocks do not lose their small parts.

    Attributes:
        cells: Side of the grid.
        window: Side of the windows, in cells; the grid's side where attention is global.
        heads: Attention heads.
        way: How attention is computed.
    """

    def __init__(self, block: reference.Block, cells: int, precision: Precision) -> None:
        """Takes the weights of `block`, which sees a square grid of `cells` a side."""
        super().__init__()
        attention = block.attn
        self.cells = cells
        self.window = block.window_size or cells
        self.heads = attention.num_heads
        self.way = Attention.PLAIN
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.qkv = linear(attention.qkv, precision)
        self.proj = linear(attention.proj, precision)
        self.lin1 = linear(block.mlp.lin1, precision, gelu=True)
        self.lin2 = linear(block.mlp.lin2, precision)
        self.dtype = precision.dtype
        self.tables = PositionTables.of(
            attention.rel_pos_h, attention.rel_pos_w, self.window, self.window
        ).to(self.dtype)
        self.padding = attention.qkv.bias.detach().to(self.dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Changes `x` in place, shape (B, H, W, C) float32, contiguous; returns it."""
        for strip in torch.split(x, self._rows_at_once(x.shape[2], x.device), dim=1):
            strip += self._attend(self.norm1(strip).to(self.dtype))
        tokens = x.view(-1, x.shape[-1])
        at_once = PART_TOKENS if x.device.type == "cpu" else len(tokens)
        for part in torch.split(tokens, at_once):
            hidden = self.lin1(self.norm2(part).to(self.dtype))
            part += self.lin2(hidden)
        return x

    def case(self, device: torch.device) -> AttentionCase:
        """What attention is computed on at a time, for one image."""
        rows = self._rows_at_once(self.cells, device)
        windows = ceil(min(rows, self.cells) / self.window) * ceil(self.cells / self.window)
        head = self.padding.shape[0] // 3 // self.heads
        return AttentionCase(device, self.dtype, windows * self.heads, self.window, head)

    def _rows_at_once(self, width: int, device: torch.device) -> int:
        """Grid rows that go through attention together: those of whole windows."""
        if device.type != "cpu":
            return self.cells
        return self.window * max(1, PART_TOKENS // (self.window * width))

    def _attend(self, x: torch.Tensor) -> torch.Tensor:
        """Attention within the windows of `x`, shape (B, H, W, C)."""
        q, k, v = self._windows(self.qkv(x))
        mixed = attend(self.way, q, k, v, self.tables)
        added: torch.Tensor = self.proj(self._grid(mixed, x))
        return added

    def _windows(self, qkv: torch.Tensor) -> torch.Tensor:
        """(B, H, W, 3·C) cut into windows and heads: (3, G, N, d)."""
        side = self.window
        images, height, width, channels = qkv.shape
        down, across = ceil(height / side), ceil(width / side)
        if (down * side, across * side) != (height, width):
            filled = qkv.new_empty((images, down * side, across * side, channels))
            filled[:, :height, :width] = qkv
            filled[:, height:] = self.padding
            filled[:, :height, width:] = self.padding
            qkv = filled
        parts = qkv.view(images, down, side, across, side, 3, self.heads, -1)
        apart = parts.permute(5, 0, 1, 3, 6, 2, 4, 7)
        heads = apart.reshape(3, images * down * across * self.heads, side * side, -1)
        return heads.contiguous()  # matrix products of strided heads copy them for every block

    def _grid(self, mixed: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """(G, N, d) put together again, without what filled windows up; the shape of `like`."""
        side = self.window
        images, height, width, _ = like.shape
        down, across = ceil(height / side), ceil(width / side)
        parts = mixed.view(images, down, across, self.heads, side, side, -1)
        whole = parts.permute(0, 1, 4, 2, 5, 3, 6).flatten(3, 4).flatten(1, 2)
        return whole[:, :height, :width].reshape(like.shape)
