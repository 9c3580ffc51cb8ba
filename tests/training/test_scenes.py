"""What the procedural scenes promise: true masks, reproducible chance."""

import numpy as np
import pytest

from sam_backend.training.canvas import MIN_AREA_SHARE
from sam_backend.training.scenes import hard_scene, simple_scene
from sam_backend.training.shapes import SHAPES, draw, moved
from tools.starter.leaves import LEAVES, leaves_scene

PHOTOS = [np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)]
MAKERS = {
    "simple": simple_scene,
    "hard": hard_scene,
    "hard, photos": lambda rng, size: hard_scene(rng, size, PHOTOS),
    "leaves": leaves_scene,
    "leaves, photos": lambda rng, size: leaves_scene(rng, size, PHOTOS),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_scenes_are_reproducible_and_well_formed(make) -> None:
    for seed in range(12):
        scene = make(np.random.default_rng(seed), 96)
        again = make(np.random.default_rng(seed), 96)
        assert scene.image.shape == (96, 96, 3)
        assert scene.image.dtype == np.uint8
        assert scene.masks.dtype == np.bool_
        assert scene.masks.shape[1:] == (96, 96)
        assert scene.masks.sum((1, 2)).min() >= MIN_AREA_SHARE * 96 * 96
        np.testing.assert_array_equal(scene.image, again.image)
        np.testing.assert_array_equal(scene.masks, again.masks)


def test_seeds_differ() -> None:
    images = {simple_scene(np.random.default_rng(s), 64).image.tobytes() for s in range(10)}
    assert len(images) == 10


def test_objects_of_simple_scenes_never_overlap() -> None:
    for seed in range(30):
        masks = simple_scene(np.random.default_rng(seed), 96).masks
        assert masks.sum(0).max() == 1


def test_hard_scenes_hold_parts_inside_wholes() -> None:
    nested = 0
    for seed in range(30):
        masks = hard_scene(np.random.default_rng(seed), 96).masks
        for i, part in enumerate(masks):
            wholes = [m for j, m in enumerate(masks) if j != i and not (part & ~m).any()]
            nested += bool(wholes) and part.sum() < max(m.sum() for m in wholes)
    assert nested >= 10


def test_simple_objects_stand_out_from_what_surrounds_them() -> None:
    apart = []
    for seed in range(40):
        scene = simple_scene(np.random.default_rng(seed), 96)
        ground = scene.image[~scene.masks.any(0)]
        apart += [np.abs(scene.image[m].mean(0) - ground.mean(0)).max() for m in scene.masks]
    assert np.median(apart) > 40


OUTLINES = dict.fromkeys(maker for maker, _ in (*SHAPES, *LEAVES))


@pytest.mark.parametrize("maker", OUTLINES, ids=lambda m: m.__name__)
def test_every_shape_is_drawn_near_its_place(maker) -> None:
    for seed in range(10):
        outline = moved(maker(np.random.default_rng(seed)), (100, 100), 30)
        coverage = draw(outline, (200, 200))
        rows, columns = np.nonzero(coverage > 127)
        assert len(rows) > 30
        assert abs(rows.mean() - 100) < 30
        assert abs(columns.mean() - 100) < 30


def test_a_ring_has_a_hole() -> None:
    ring = next(maker for maker, _ in SHAPES if maker.__name__ == "ring")
    coverage = draw(moved(ring(np.random.default_rng(1)), (50, 50), 30), (100, 100))
    assert coverage[50, 50] == 0
    assert coverage.max() == 255
