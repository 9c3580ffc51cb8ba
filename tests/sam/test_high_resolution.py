"""Finer features travel inside the embedding and come out as they were."""

import torch

from sam_backend.sam.high_resolution import as_images, pack, unpack

C, H, W = 16, 3, 5


def test_what_is_packed_is_unpacked() -> None:
    cells, half, quarter = (
        torch.randn(2, C, H, W),
        torch.randn(2, C // 4, 2 * H, 2 * W),
        torch.randn(2, C // 8, 4 * H, 4 * W),
    )
    packed = pack(cells, half, quarter)
    assert packed.shape == (2, 4 * C, H, W)
    found, finer = unpack(packed, C)
    assert torch.equal(found, cells)
    assert finer is not None
    halves, quarters = as_images(finer, (H, W))
    assert torch.equal(halves, half)
    assert torch.equal(quarters, quarter)


def test_each_cell_holds_what_lies_in_it() -> None:
    """A mark in one place of the finer maps is found in the cell and sub-cell of that place."""
    half, quarter = torch.zeros(1, C // 4, 2 * H, 2 * W), torch.zeros(1, C // 8, 4 * H, 4 * W)
    half[0, 1, 2 * 2 + 1, 2 * 3] = 1  # cell (2, 3), lower left sub-cell
    quarter[0, 0, 4 * 2 + 1, 4 * 3 + 2] = 1  # its upper right sub-cell, lower left in it
    _, finer = unpack(pack(torch.zeros(1, C, H, W), half, quarter), C)
    assert finer is not None
    cell = 2 * W + 3
    assert finer.half.nonzero().tolist() == [[0, cell, 2, 1]]
    assert finer.quarter.nonzero().tolist() == [[0, cell, 1, 2, 0]]


def test_a_plain_embedding_has_none() -> None:
    embeddings = torch.randn(2, C, H, W)
    cells, finer = unpack(embeddings, C)
    assert finer is None
    assert torch.equal(cells, embeddings)
