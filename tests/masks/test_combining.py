"""Unions and differences of run lengths are those of pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_backend.errors import InvalidInputError
from sam_backend.masks.combining import subtract, union
from sam_backend.masks.overlap import share_inside
from sam_backend.masks.rle import decode, encode


@st.composite
def several(draw: st.DrawFn) -> list[np.ndarray]:
    """One to four masks of one size, some of them empty or full."""
    size = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    share = st.sampled_from([0.0, 0.3, 0.7, 1.0])
    n, seed = draw(st.integers(1, 4)), draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    return [rng.random(size) < draw(share) for _ in range(n)]


@given(several())
def test_union(masks: list[np.ndarray]) -> None:
    together = union([encode(mask) for mask in masks])
    assert np.array_equal(decode(together), np.any(masks, axis=0))


@given(several())
def test_subtract(masks: list[np.ndarray]) -> None:
    left = subtract(encode(masks[0]), encode(masks[-1]))
    assert np.array_equal(decode(left), masks[0] & ~masks[-1])


@given(several())
def test_share_inside(masks: list[np.ndarray]) -> None:
    shares = share_inside([encode(mask) for mask in masks], [encode(masks[-1])])
    for mask, [share] in zip(masks, shares, strict=True):
        if mask.any():
            assert share == pytest.approx((mask & masks[-1]).sum() / mask.sum())


def test_no_mask_needs_a_size() -> None:
    assert union([], (3, 4)).area_px == 0
    with pytest.raises(InvalidInputError, match="one size, not none"):
        union([])


def test_sizes_must_agree() -> None:
    small, large = encode(np.ones((2, 2), bool)), encode(np.ones((2, 3), bool))
    with pytest.raises(InvalidInputError, match="one size"):
        union([small, large])
    with pytest.raises(InvalidInputError, match="one size"):
        subtract(small, large)
