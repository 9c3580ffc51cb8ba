"""Attention with decomposed relative positions, computed in three ways with one answer.

Every query i adds to its logit for key j `q_i · rows[h_i, h_j] + q_i · columns[w_i, w_j]`, where h
and w are the tokens' row and column (MViTv2, arXiv 2112.01526, equation 4; in `segment_anything`
`add_decomposed_rel_pos`). Tokens of a grid of H x W cells are in row-major order, N = H·W; G counts
heads times windows times images, which do not see each other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Final, Self

import torch
from torch.nn import functional as F

from sam_backend.sam.reference import get_rel_pos

PLAIN_BLOCK_BYTES: Final = 2 << 20
"""Of a block of logits on a CPU: its caches keep them from the product to the softmax."""
FUSED_BLOCK_BYTES: Final = 16 << 20
"""Of a block of masks on a CPU: its fused kernel is fastest from 768 queries on."""
CUDA_BLOCK_BYTES: Final = 1 << 30
"""Of either on a GPU, where few and large kernels are best."""
_HEAD_MULTIPLE: Final = 8
"""CUDA's half-precision kernels take head sizes in steps of 16 bytes."""


class Attention(StrEnum):
    """A way to compute it: which is fastest depends on the device, the dtype and the shape."""

    PLAIN = "plain"
    """Product, sum, softmax and product one after the other, as in the reference."""
    FOLDED = "folded"
    """Positions become more channels of queries and keys, and one fused kernel does the rest."""
    BLOCKED = "blocked"
    """A fused kernel, which gets the positions' share as its mask."""


@dataclass(frozen=True, slots=True, eq=False)
class PositionTables:
    """What one layer's queries are multiplied with for the positions' share.

    Attributes:
        rows: For a query's and a key's row, shape (H, H, d).
        columns: For a query's and a key's column, shape (W, W, d).
        cells: 1 at each key's row and at H + its column, else 0; shape (N, H + W).
    """

    rows: torch.Tensor
    columns: torch.Tensor
    cells: torch.Tensor

    @classmethod
    def of(cls, rel_pos_h: torch.Tensor, rel_pos_w: torch.Tensor, height: int, width: int) -> Self:
        """Tables of a grid of `height` x `width` cells, from weights (2·H - 1, d), (2·W - 1, d)."""
        rows = get_rel_pos(height, height, rel_pos_h)
        columns = get_rel_pos(width, width, rel_pos_w)
        in_row = torch.eye(height).repeat_interleave(width, dim=0)
        in_column = torch.eye(width).repeat(height, 1)
        return cls(rows, columns, torch.cat([in_row, in_column], dim=1).to(rows))

    def to(self, dtype: torch.dtype) -> "PositionTables":
        """The same, in that dtype."""
        return PositionTables(self.rows.to(dtype), self.columns.to(dtype), self.cells.to(dtype))

    def terms(self, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Products of queries (G, N, d), unscaled, with the tables of their rows and columns.

        Returns:
            Shapes (G, N, H) and (G, N, W): what is added for keys of each row and each column.
        """
        grid = q.reshape(len(q), len(self.rows), len(self.columns), -1)
        by_row = torch.einsum("grwc,rkc->grwk", grid, self.rows)
        by_column = torch.einsum("grwc,wkc->grwk", grid, self.columns)
        return by_row.flatten(1, 2), by_column.flatten(1, 2)


def attend(
    way: Attention, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, tables: PositionTables
) -> torch.Tensor:
    """Values averaged by softmax(q · k / sqrt(d) + positions).

    Args:
        way: How to compute it; the answers differ by rounding alone.
        q: Queries, shape (G, N, d), any strides, float32 or a half type.
        k: Keys, likewise.
        v: Values, likewise.
        tables: Tables of the layer, in the queries' dtype.

    Returns:
        Shape (G, N, d).
    """
    if way is Attention.FOLDED:
        return _folded(q, k, v, tables)
    mixed = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    kernel, cpu_bytes = (
        (_plain, PLAIN_BLOCK_BYTES) if way is Attention.PLAIN else (_fused, FUSED_BLOCK_BYTES)
    )
    limit = cpu_bytes if q.device.type == "cpu" else CUDA_BLOCK_BYTES
    by_row, by_column = tables.terms(q)
    for heads, tokens in _blocks(q, limit):
        at = heads, tokens
        bias = (by_row[at][..., :, None] + by_column[at][..., None, :]).flatten(2)
        mixed[at] = kernel(q[at], k[heads], v[heads], bias)
    return mixed


def _plain(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    logits = bias.baddbmm_(q, k.transpose(-2, -1), alpha=q.shape[-1] ** -0.5)
    return logits.softmax(dim=-1) @ v


def _fused(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=bias[None])[0]


def _folded(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, tables: PositionTables
) -> torch.Tensor:
    """Attend with the positions folded into the products.

    The logits are products of q' = [q / sqrt(d), q · rows, q · columns] and k' = [k, cells].
    """
    head = q.shape[-1]
    wide = _HEAD_MULTIPLE * ceil((head + tables.cells.shape[-1]) / _HEAD_MULTIPLE)
    cells = tables.cells.expand(len(k), -1, -1)
    wide_q = torch.cat([q * head**-0.5, *tables.terms(q)], dim=-1)
    wide_k = torch.cat([k, cells], dim=-1)
    spare = wide - wide_q.shape[-1]
    if spare:
        wide_q, wide_k = F.pad(wide_q, (0, spare)), F.pad(wide_k, (0, spare))
    wide_v = F.pad(v, (0, wide - head))  # the flash kernels want one head size for all three
    mixed = F.scaled_dot_product_attention(wide_q[None], wide_k[None], wide_v[None], scale=1.0)
    return mixed[0, ..., :head]


def _blocks(q: torch.Tensor, limit: int) -> Iterator[tuple[slice, slice]]:
    """Slices of G and of N whose logits take at most `limit` bytes, a token's at least."""
    groups, tokens, _ = q.shape
    row_bytes = tokens * q.element_size()
    rows = max(1, min(tokens, limit // row_bytes))
    heads = max(1, limit // (rows * row_bytes))
    for head in range(0, groups, heads):
        for row in range(0, tokens, rows):
            yield slice(head, head + heads), slice(row, row + rows)
