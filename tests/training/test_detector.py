"""The detector of objects learns on drawn pictures, and goes on where it was killed."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sam_backend.datasets.image_files import digest_of
from sam_backend.datasets.types import Dataset, LabelledImage, LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import encode
from sam_backend.training.detector.examples import Example, batches, boxes_of, read_example
from sam_backend.training.detector.loop import CHECKPOINT_NAME, train_detector
from sam_backend.training.detector.network import build
from sam_backend.training.detector.plan import DetectorPlan
from sam_backend.training.detector.recall import box_recall, detect

SIDE = 128
CPU = torch.device("cpu")


def picture(folder: Path, seed: int) -> LabelledImage:
    """Two or three bright discs on dark ground."""
    rng = np.random.default_rng(seed)
    image = rng.integers(20, 60, (SIDE, SIDE, 3), np.uint8)
    masks = []
    for x, y in [(32, 32), (92, 40), (60, 95)][: rng.integers(2, 4)]:
        canvas = np.zeros((SIDE, SIDE), np.uint8)
        at = (int(x + rng.integers(-6, 7)), int(y + rng.integers(-6, 7)))
        cv2.circle(canvas, at, int(rng.integers(14, 24)), 1, -1)
        image[canvas > 0] = rng.integers(150, 256, 3)
        masks.append(LabelledMask(encode(canvas > 0)))
    path = folder / f"{seed}.png"
    cv2.imwrite(str(path), image)
    return LabelledImage(str(seed), path, digest_of(path.read_bytes()), (SIDE, SIDE), tuple(masks))


def pictures(folder: Path, seeds: range) -> Dataset:
    return Dataset("discs", tuple(picture(folder, seed) for seed in seeds))


def test_it_learns_to_find_objects(tmp_path: Path) -> None:
    held_out = pictures(tmp_path, range(100, 105)).images
    plan = DetectorPlan(side_px=SIDE, steps=100, batch=2, learning_rate=0.02)
    losses: list[float] = []
    trained = train_detector(
        pictures(tmp_path, range(24)), plan, tmp_path / "run", CPU,
        lambda progress: losses.append(progress.loss),
    )  # fmt: skip
    assert trained is not None
    assert len(losses) == 100
    assert np.mean(losses[-20:]) < 0.6 * np.mean(losses[:20])
    before = box_recall(build("mobilenet", SIDE), held_out, n_boxes=3)
    after = box_recall(trained, held_out, n_boxes=3)
    assert after > 0.5, (before, after)
    assert after > before + 0.4
    boxes, scores = detect(trained, read_example(held_out[0], SIDE).pixels)
    assert (np.diff(scores) <= 0).all()
    assert boxes.shape == (len(scores), 4)


def test_stopped_and_begun_again_is_as_one(tmp_path: Path) -> None:
    data = pictures(tmp_path, range(4))
    plan = DetectorPlan(side_px=64, steps=4, batch=2)
    whole = train_detector(data, plan, tmp_path / "whole", CPU)
    steps: list[int] = []
    stopped = train_detector(
        data, plan, tmp_path / "halves", CPU,
        lambda progress: steps.append(progress.step), lambda: len(steps) >= 2,
    )  # fmt: skip
    assert stopped is None
    assert steps == [1, 2]
    both = train_detector(
        data, plan, tmp_path / "halves", CPU, lambda progress: steps.append(progress.step)
    )
    assert steps == [1, 2, 3, 4]
    assert whole is not None
    assert both is not None
    for (name, a), b in zip(whole.state_dict().items(), both.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3, msg=name)
    steps.clear()
    other = DetectorPlan(side_px=64, steps=1, batch=2, seed=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "halves" / CHECKPOINT_NAME).rename(tmp_path / "other" / CHECKPOINT_NAME)
    train_detector(data, other, tmp_path / "other", CPU, lambda p: steps.append(p.step))
    assert steps == [1], "another plan must begin anew"


def test_each_picture_comes_once_a_round() -> None:
    seen = [index for indexes, _ in batches(7, 3, range(7), seed=1) for index in indexes]
    assert sorted(seen[:7]) == sorted(seen[7:14]) == list(range(7))
    assert list(batches(7, 3, range(2, 5), 1)) == list(batches(7, 3, range(5), 1))[2:]


def test_boxes_of_masks() -> None:
    masks = np.zeros((3, 20, 30), bool)
    masks[0, 2:10, 3:15] = True
    masks[1, 2:10, 3:16] = True  # another annotator's same object
    masks[2, 12:20, 20:30] = True
    boxes = boxes_of([encode(mask) for mask in masks])
    assert boxes.tolist() == [[3, 2, 15, 10], [20, 12, 30, 20]]


def test_mirrored_boxes_lie_on_mirrored_objects() -> None:
    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[2:5, 1:7] = 255
    example = Example(pixels, np.array([[1, 2, 7, 5]], np.float32))
    image, target = example.tensors(is_mirrored=True)
    [[x0, y0, x1, y1]] = target["boxes"].int().tolist()
    assert (x0, y0, x1, y1) == (13, 2, 19, 5)
    assert image[:, y0:y1, x0:x1].min() == 1
    assert image.sum() == 3 * 18


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"network": "yolo"}, "'yolo'; known: mobilenet, resnet50"),
        ({"side_px": 8}, "32 to 4096 px, not 8"),
    ],
)
def test_wrong_networks_are_named(given: dict[str, object], says: str, tmp_path: Path) -> None:
    plan = DetectorPlan(**given)
    with pytest.raises(InvalidInputError, match=says):
        train_detector(pictures(tmp_path, range(1)), plan, tmp_path, CPU)


def test_no_picture(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="there is none"):
        train_detector(Dataset("empty", ()), DetectorPlan(), tmp_path, CPU)
