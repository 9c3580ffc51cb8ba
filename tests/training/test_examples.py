"""From scenes and COCO files to what the network sees."""

import numpy as np
import pytest

from sam_backend.training.canvas import Scene
from sam_backend.training.examples import augment, cut_to_aspect, padded_pixels, prepare
from sam_backend.training.scenes import simple_scene


def two_squares() -> Scene:
    """A 60 x 120 image, red where the first mask is, blue where the second one is."""
    image = np.full((60, 120, 3), 128, np.uint8)
    masks = np.zeros((2, 60, 120), np.bool_)
    masks[0, 10:40, 10:40] = True
    masks[1, 20:50, 70:110] = True
    image[masks[0]] = [255, 0, 0]
    image[masks[1]] = [0, 0, 255]
    return Scene(image, masks)


def test_the_longest_side_is_resized_and_the_rest_is_padding() -> None:
    example = prepare(two_squares(), 64, 2, np.random.default_rng(0))
    assert example is not None
    assert example.input_size == (32, 64)
    assert example.image.shape == (64, 64, 3)
    assert not example.image[32:].any()
    assert padded_pixels([example])[0].sum() == 32 * 64
    assert example.truth.shape == (2, 16, 16)


def test_truth_covers_what_the_masks_cover() -> None:
    example = prepare(two_squares(), 120, 2, np.random.default_rng(0))
    assert example is not None
    areas = sorted((example.truth.sum((1, 2)) * 16).tolist())
    assert areas == pytest.approx([900, 1200], rel=0.01)


def test_targets_repeat_only_when_there_are_too_few() -> None:
    example = prepare(two_squares(), 64, 5, np.random.default_rng(0))
    assert example is not None
    assert len(example.truth) == 5
    assert len({t.tobytes() for t in example.truth}) == 2


def test_masks_too_small_for_a_cell_are_no_targets() -> None:
    scene = two_squares()
    tiny = np.zeros((1, 60, 120), np.bool_)
    tiny[0, 3, 3] = True
    assert prepare(Scene(scene.image, tiny), 64, 2, np.random.default_rng(0)) is None
    mixed = Scene(scene.image, np.concatenate([tiny, scene.masks]))
    example = prepare(mixed, 64, 4, np.random.default_rng(0))
    assert example is not None
    assert len({t.tobytes() for t in example.truth}) == 2


def test_augmentation_moves_image_and_masks_together() -> None:
    for seed in range(30):
        scene = augment(two_squares(), np.random.default_rng(seed), min_crop=0.9)
        red, blue = scene.image[..., 0].astype(int), scene.image[..., 2].astype(int)
        saturated = np.abs(red - blue).max() > 60  # colour may have been dropped
        if saturated:
            assert (red - blue)[scene.masks[0]].min() > 0
            assert (blue - red)[scene.masks[1]].min() > 0
        assert scene.masks.shape[1:] == scene.image.shape[:2]


def test_simple_scenes_give_targets_at_every_size() -> None:
    rng = np.random.default_rng(3)
    for size in (64, 128, 256):
        example = prepare(simple_scene(rng, size), size, 3, rng)
        assert example is not None
        assert (example.truth >= 0.5).any((1, 2)).all()


def test_scenes_are_cut_to_the_shapes_of_pictures() -> None:
    rng = np.random.default_rng(5)
    ratios = set()
    for _ in range(60):
        scene = simple_scene(rng, 64)
        cut = cut_to_aspect(scene, rng)
        height, width = cut.image.shape[:2]
        assert max(height, width) == 64
        assert min(height, width) >= 32
        assert cut.masks.shape[1:] == (height, width)
        assert cut.masks.any((1, 2)).all()
        ratios.add(round(width / height, 1))
    assert {1.0} < ratios
    assert min(ratios) < 0.7
    assert max(ratios) > 1.5


def test_a_cut_keeps_image_and_masks_together() -> None:
    mask = np.zeros((1, 40, 40), np.bool_)
    mask[0, 10:30, 15:25] = True
    image = np.repeat(mask[0, :, :, None] * np.uint8(255), 3, axis=2)
    for seed in range(20):
        cut = cut_to_aspect(Scene(image, mask), np.random.default_rng(seed))
        assert (cut.masks[0] == (cut.image[..., 0] > 0)).all()
