"""Examples for an encoder that learns, cut anew from labelled images each time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.training.photos import LabelledImages
from sam_backend.training.plan import Phase
from tests.training.tiny import mask_of, squares

PHASE = Phase(1.0, None, 3, 2)


def test_a_step_draws_the_same_whatever_was_drawn_before(tmp_path: Path) -> None:
    source = LabelledImages(squares(tmp_path).images, 64, seed=1)
    fifth = source.batch(5, PHASE)
    source.batch(0, PHASE)
    for one, other in zip(fifth, source.batch(5, PHASE), strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.truth, other.truth)
    assert len({source.batch(step, PHASE)[0].image.tobytes() for step in range(10)}) == 10


def test_examples_have_the_network_s_size_and_usable_targets(tmp_path: Path) -> None:
    data = squares(tmp_path)
    with_bad = replace(data.images[0], masks=(mask_of(0), mask_of(2), *data.images[0].masks))
    source = LabelledImages([with_bad, *data.images[1:]], 64, seed=0)
    for step in range(20):
        for example in source.batch(step, PHASE):
            assert example.image.shape == (64, 64, 3)
            assert example.truth.shape == (2, 16, 16)
            assert (example.truth.max((1, 2)) >= 0.5).all()
    assert dict(source.skipped) == {"empty mask": 1, "mask too small": 1}


def test_images_that_all_went_away_are_told_of(tmp_path: Path) -> None:
    data = squares(tmp_path)
    source = LabelledImages(data.images, 64, seed=0)
    for image in data:
        image.path.unlink()
    with pytest.raises(InvalidInputError, match="3 of 3 images cannot be read"):
        source.batch(0, PHASE)
    assert dict(source.skipped) == {"unreadable image": 3}
