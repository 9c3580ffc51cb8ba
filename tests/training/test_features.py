"""Embeddings on disk are those of a click, and masks stay where the mirrored image has them."""

from pathlib import Path

import numpy as np
import pytest

from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.pixels import read_pixels
from sam_backend.masks import rle
from sam_backend.sam.segmenter import Segmenter
from sam_backend.training.features import EncodedImages, encode_images
from sam_backend.training.plan import Phase
from tests.training.tiny import squares, tiny_sam

PHASE = Phase(1.0, None, 2, 3)


def test_views_hold_what_a_click_would_see_and_the_mirror_of_it(tmp_path: Path) -> None:
    sam, data = tiny_sam(), squares(tmp_path, 1)
    encoded = encode_images(sam, data.images, tmp_path / "f", True, LeftOut(), lambda n: True)
    assert encoded is not None
    segmenter, pixels = Segmenter(sam, "x"), read_pixels(data.images[0])
    masks = [rle.decode(mask.rle) for mask in data.images[0].masks]
    for view, image, shown in zip(
        encoded[0].views,
        (pixels, np.ascontiguousarray(pixels[:, ::-1])),
        (masks, [mask[:, ::-1] for mask in masks]),
        strict=True,
    ):
        np.testing.assert_allclose(
            np.load(view.features), segmenter.embed(image).features, atol=2e-3
        )
        cells = np.load(view.targets) / 255
        scale = 64 / 100
        for cell, mask in zip(cells, shown, strict=True):
            y, x = np.nonzero(mask)
            row, column = (np.average(grid, weights=cell) for grid in np.indices(cell.shape))
            assert cell.sum() * 16 == pytest.approx(mask.sum() * scale**2, rel=0.03)
            assert (row + 0.5) * 4 == pytest.approx((y.mean() + 0.5) * scale, abs=0.5)
            assert (column + 0.5) * 4 == pytest.approx((x.mean() + 0.5) * scale, abs=0.5)


def test_what_is_on_disk_is_not_encoded_again(tmp_path: Path) -> None:
    data = squares(tmp_path, 2)
    first = encode_images(tiny_sam(), data.images, tmp_path / "f", True, LeftOut(), lambda n: True)
    for image in data:
        image.path.unlink()
    again = encode_images(tiny_sam(), data.images, tmp_path / "f", True, LeftOut(), lambda n: True)
    assert first is not None
    assert again is not None
    assert [e.views[1].features for e in first] == [e.views[1].features for e in again]
    assert len(list((tmp_path / "f").iterdir())) == 8


def test_a_step_draws_the_same_whatever_was_drawn_before(tmp_path: Path) -> None:
    data = squares(tmp_path, 3)
    encoded = encode_images(
        tiny_sam(), data.images, tmp_path / "f", True, LeftOut(), lambda n: True
    )
    source = EncodedImages(encoded or [], 5, {})
    third = source.batch(3, PHASE)
    source.batch(0, PHASE)
    for one, other in zip(third, source.batch(3, PHASE), strict=True):
        np.testing.assert_array_equal(one.features, other.features)
        np.testing.assert_array_equal(one.truth, other.truth)
    views = {source.batch(step, PHASE)[0].features.tobytes() for step in range(60)}
    assert len(views) == 6  # three images, each also mirrored
    other_seed = EncodedImages(encoded or [], 6, {}).batch(3, PHASE)
    assert any((a.truth != b.truth).any() for a, b in zip(third, other_seed, strict=True))
