"""Every way of computing attention answers as `segment_anything`'s."""

import pytest
import torch
from segment_anything.modeling.image_encoder import Attention as ReferenceAttention

from sam_backend.sam import attention
from sam_backend.sam.attention import Attention, PositionTables, attend

SHAPES = {
    "ViT-H's head, a window": (2, 14, 80),
    "the starter's head": (3, 8, 32),
    "an odd head": (2, 5, 6),
    "one cell": (1, 1, 4),
}


def reference(heads: int, side: int, head: int) -> ReferenceAttention:
    torch.manual_seed(side)
    layer = ReferenceAttention(heads * head, heads, use_rel_pos=True, input_size=(side, side))
    with torch.no_grad():
        layer.rel_pos_h.normal_()  # the reference starts with zeros, which would prove nothing
        layer.rel_pos_w.normal_()
        torch.nn.init.eye_(layer.proj.weight)
        layer.proj.bias.zero_()
    return layer.requires_grad_(requires_grad=False)


def ours(layer: ReferenceAttention, x: torch.Tensor, way: Attention) -> torch.Tensor:
    images, side = x.shape[:2]
    parts = layer.qkv(x).view(images, side * side, 3, layer.num_heads, -1)
    q, k, v = parts.permute(2, 0, 3, 1, 4).flatten(1, 2)
    tables = PositionTables.of(layer.rel_pos_h, layer.rel_pos_w, side, side)
    mixed = attend(way, q, k, v, tables)
    return mixed.unflatten(0, (images, -1)).transpose(1, 2).reshape(x.shape)


@pytest.mark.parametrize("block_bytes", [1, 9_000, 1 << 24])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("way", Attention)
def test_it_is_the_reference_in_blocks_of_any_size(
    monkeypatch: pytest.MonkeyPatch,
    way: Attention,
    shape: tuple[int, int, int],
    block_bytes: int,
) -> None:
    monkeypatch.setattr(attention, "PLAIN_BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(attention, "FUSED_BLOCK_BYTES", block_bytes)
    heads, side, head = shape
    layer = reference(heads, side, head)
    x = torch.randn(2, side, side, heads * head)
    want = layer(x)
    torch.testing.assert_close(
        ours(layer, x, way), want, rtol=0, atol=1e-5 * float(want.abs().max())
    )
