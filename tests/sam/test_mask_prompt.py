"""A mask becomes logits at the right place of the padded square."""

import numpy as np
import pytest

from sam_backend.sam.mask_prompt import mask_to_logits
from sam_backend.sam.preprocess import LongestSide, Stretched


@pytest.mark.parametrize("size", [(64, 64), (40, 64), (64, 40), (1000, 1500), (7, 300), (1, 1)])
def test_the_mask_keeps_its_place(size: tuple[int, int]) -> None:
    mask = np.zeros(size, np.bool_)
    height, width = size
    mask[: (height + 1) // 2, : (width + 1) // 2] = True
    logits = mask_to_logits(mask, LongestSide(64))
    assert logits.shape == (64, 64)
    assert logits.dtype == np.float32
    assert np.abs(logits).max() == pytest.approx(10.0)
    scale = 64 / max(size)
    ys, xs = np.nonzero(logits > 0)
    assert ys.min() == 0
    assert xs.min() == 0
    assert ys.max() + 1 == pytest.approx(max(1, (height + 1) // 2 * scale), abs=1.5)
    assert xs.max() + 1 == pytest.approx(max(1, (width + 1) // 2 * scale), abs=1.5)


def test_padding_is_background() -> None:
    logits = mask_to_logits(np.ones((32, 64), np.bool_), LongestSide(64))
    assert (logits[:32] == 10).all()
    assert (logits[32:] == -10).all()


def test_a_stretched_image_has_no_padding() -> None:
    mask = np.zeros((32, 64), np.bool_)
    mask[:, :32] = True
    logits = mask_to_logits(mask, Stretched(64))
    assert (logits[:, :32] == 10).all()
    assert (logits[:, 32:] == -10).all()
