"""Masks of all shapes for property tests."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sam_backend.masks.types import Mask


def mask_of(*rows: str) -> Mask:
    """A mask drawn with "#" for its pixels."""
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def discs(seed: int, size: tuple[int, int]) -> Mask:
    """Random discs, each a part, a hole or a part in a hole; size is (height, width)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    mask = np.zeros(size, bool)
    for _ in range(rng.integers(0, 9)):
        cy, cx = rng.uniform(0, size)
        mask ^= np.hypot(y - cy, x - cx) < rng.uniform(0, max(size) / 2)
    return mask


sizes = st.tuples(st.integers(1, 200), st.integers(1, 200))
small_masks = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))
masks = st.one_of(
    small_masks,
    sizes.flatmap(lambda size: st.integers(0, 2**32 - 1).map(lambda seed: discs(seed, size))),
)
