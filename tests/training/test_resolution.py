"""What the encoder is given, and at which sizes."""

import numpy as np
import pytest
import torch

from sam_backend.sam.starter import build_starter
from sam_backend.training.examples import Example
from sam_backend.training.resolution import network_input, set_input_size
from tests.training.tiny import tiny_sam


def test_padding_is_zero_after_normalisation() -> None:
    sam = build_starter()
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    narrow = Example(image, (32, 64), np.zeros((2, 16, 16), np.float32))
    pixels = network_input(sam, [narrow])
    assert pixels.shape == (1, 3, 64, 64)
    assert not pixels[:, :, 32:].any()
    torch.testing.assert_close(
        pixels[0, :, :32],
        sam.preprocess(torch.from_numpy(image).permute(2, 0, 1))[:, :32, :64],
    )


def test_a_size_off_the_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        set_input_size(build_starter(), 100)


def test_absolute_positions_fix_the_size() -> None:
    sam = tiny_sam()
    set_input_size(sam, 64)
    with pytest.raises(ValueError, match="fix the input at 64, not 32"):
        set_input_size(sam, 32)
