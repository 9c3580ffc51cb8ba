"""From scenes and COCO files to what the network sees."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from sam_backend.errors import InvalidInputError
from sam_backend.training.canvas import Scene
from sam_backend.training.coco import read_photos
from sam_backend.training.examples import augment, cut_to_aspect, padded_pixels, prepare
from sam_backend.training.mixture import Mixture, Shares
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


def write_coco(folder: Path) -> Path:
    (folder / "tiny").mkdir()
    scene = two_squares()
    cv2.imwrite(str(folder / "tiny" / "a.png"), scene.image[..., ::-1])
    rles = [coco_mask.encode(np.asfortranarray(m.astype(np.uint8))) for m in scene.masks]
    annotations = [
        {
            "image_id": 1,
            "area": int(m.sum()),
            "segmentation": {"size": r["size"], "counts": r["counts"].decode()},
        }
        for m, r in zip(scene.masks, rles, strict=True)
    ]
    annotations.append(annotations[0] | {"area": 0})
    document = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": annotations}
    file = folder / "tiny.json"
    file.write_text(json.dumps(document))
    return file


def test_a_coco_file_gives_back_image_and_masks(tmp_path: Path) -> None:
    photos = read_photos(write_coco(tmp_path))
    assert photos.skipped == 1
    scene, expected = photos.photos[0].scene(), two_squares()
    np.testing.assert_array_equal(scene.image, expected.image)
    np.testing.assert_array_equal(scene.masks, expected.masks)


def test_a_missing_coco_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"none\.json"):
        read_photos(tmp_path / "none.json")


def test_a_missing_photo_is_named(tmp_path: Path) -> None:
    file = write_coco(tmp_path)
    (tmp_path / "tiny" / "a.png").unlink()
    with pytest.raises(InvalidInputError, match=r"a\.png"):
        read_photos(file)


def most_targets(mixture: Mixture) -> int:
    """Distinct targets of the richest of eight examples."""
    return max(len({t.tobytes() for t in e.truth}) for e in mixture.batch(8, 64, 6))


def test_a_mixture_draws_photos_only_where_there_are_some(tmp_path: Path) -> None:
    photos = read_photos(write_coco(tmp_path)).photos
    only_photos = Mixture(np.random.default_rng(0), photos, shares=Shares(0, 0, 0, 1))
    assert most_targets(only_photos) == 2  # the photo has two masks
    without = Mixture(np.random.default_rng(0), (), shares=Shares(1, 0, 0, 1))
    assert most_targets(without) > 2


def test_a_mixture_is_reproducible() -> None:
    batches = [Mixture(np.random.default_rng(7)).batch(3, 64, 2) for _ in range(2)]
    for a, b in zip(*batches, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.truth, b.truth)


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
