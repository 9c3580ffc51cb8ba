"""The sums per row and column are torch's two resizes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_backend.sam.postprocess.resampling import axis, bilinear

LENGTHS = [(64, 256), (256, 1024), (683, 1200), (1024, 1801), (1024, 300), (1, 7), (7, 1), (2, 9)]


def resized(values: torch.Tensor, n_target: int) -> torch.Tensor:
    return F.interpolate(values[None, None], n_target, mode="linear", align_corners=False)[0, 0]


@pytest.mark.parametrize(("n_source", "n_target"), LENGTHS)
def test_one_resize_has_torchs_own_weights(n_source: int, n_target: int) -> None:
    resize = bilinear(n_source, n_target)
    ours = np.zeros((n_target, n_source), np.float32)
    target = np.arange(n_target)
    ours[target, resize.first] += resize.weights[:, 0]
    ours[target, resize.second] += resize.weights[:, 1]
    eye = torch.eye(n_source)[:, None]
    theirs = F.interpolate(eye, n_target, mode="linear", align_corners=False)[:, 0].T
    assert np.array_equal(ours, theirs.numpy())
    assert (np.diff(resize.first) >= 0).all()


lengths = st.integers(1, 300)


@settings(deadline=None)
@given(lengths, lengths, lengths, st.integers(1, 1000), st.integers(0, 2**31))
def test_both_resizes_as_one(
    mask_side: int, input_side: int, n_input: int, n_image: int, seed: int
) -> None:
    n_input = min(n_input, input_side)
    both = axis(mask_side, input_side, n_input, n_image)
    values = torch.randn(mask_side, generator=torch.Generator().manual_seed(seed))
    expected = resized(resized(values, input_side)[:n_input], n_image)
    n_neighbours = both.weights.shape[1]
    padded = np.concatenate([values.numpy(), np.zeros(n_neighbours, np.float32)])
    neighbours = both.first[:, None] + np.arange(n_neighbours)
    mixed = (both.weights * padded[neighbours]).sum(axis=1)
    np.testing.assert_allclose(mixed, expected.numpy(), atol=1e-5)
    for pair, (start, stop) in enumerate(zip(both.touched_from, both.touched_to, strict=True)):
        has_part = (neighbours == pair) & (both.weights != 0)
        has_next = (neighbours == pair + 1) & (both.weights != 0)
        mixes = np.flatnonzero(has_part.any(axis=1) & has_next.any(axis=1))
        assert ((mixes >= start) & (mixes < stop)).all()
