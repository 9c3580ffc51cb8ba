"""Levels of a grid, and the points that masks cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_backend.masks.rle import encode
from sam_backend.sam.automatic.coarse_to_fine import covered, levels
from tests.masks.strategies import small_masks


@pytest.mark.parametrize(
    ("side", "step", "sizes"),
    [(8, 1, [64]), (8, 2, [16, 48]), (32, 4, [64, 256, 704]), (1, 4, [0, 1, 0])],
)
def test_each_point_is_in_one_level(side: int, step: int, sizes: list[int]) -> None:
    found = list(levels(side, step))
    assert sorted(np.concatenate(found).tolist()) == list(range(side * side))
    assert [len(level) for level in found] == sizes


@given(small_masks, st.data())
def test_covered_points_are_the_masks_pixels(mask: np.ndarray, data: st.DataObject) -> None:
    height, width = mask.shape
    other = np.zeros_like(mask)
    other[data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))] = True
    y, x = np.mgrid[:height, :width]
    xy = np.stack([x, y], axis=-1).reshape(-1, 2) + 0.9
    found = covered(xy, [encode(mask), encode(other)])
    assert np.array_equal(found.reshape(height, width), mask | other)
    assert not covered(xy, []).any()
