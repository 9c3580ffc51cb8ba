"""How often images and masks are drawn."""

from pathlib import Path

import numpy as np
import pytest

from sam_backend.datasets.types import LabelledImage, LabelledMask
from sam_backend.training.balance import draw_targets, image_weights
from tests.training.tiny import mask_of


def image(*labels: str | None) -> LabelledImage:
    masks = tuple(LabelledMask(mask_of(9).rle, label) for label in labels)
    return LabelledImage("x", Path("x"), "0", (80, 100), masks)


def test_images_of_a_rare_class_are_drawn_more_often() -> None:
    images = [image("common")] * 98 + [image("common", "rare")] * 2 + [image(None)] * 100
    weights = image_weights(images)
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(weights[98:100] / weights[0], np.sqrt(0.1 / 0.01))
    np.testing.assert_allclose(weights[:98], weights[0])
    np.testing.assert_allclose(weights[100:], weights[0])


def test_a_single_image_is_drawn_always() -> None:
    np.testing.assert_array_equal(image_weights([image("a", "b")]), [1.0])


def test_targets_are_drawn_once_each_before_any_twice() -> None:
    rng = np.random.default_rng(0)
    for n_targets in range(1, 9):
        chosen = draw_targets(np.array([1.0, 50.0, 2.0, 9.0]), n_targets, rng)
        assert len(chosen) == n_targets
        assert len(set(chosen.tolist())) == min(n_targets, 4)


def test_larger_targets_are_likelier_by_the_root_of_their_area() -> None:
    rng = np.random.default_rng(0)
    drawn = [int(draw_targets(np.array([100.0, 900.0]), 1, rng)[0]) for _ in range(2000)]
    assert np.mean(drawn) == pytest.approx(0.75, abs=0.03)
