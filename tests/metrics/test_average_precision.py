"""AP and AR are COCO's own."""

import contextlib
import io
from itertools import chain

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sam_backend.datasets.types import LabelledMask
from sam_backend.masks.rle import to_coco
from sam_backend.metrics.average_precision import average_precision
from tests.metrics.labelled import SIZE, square

Masks = list[list[LabelledMask]]


def some(rng: np.random.Generator) -> tuple[Masks, Masks, list[list[float]]]:
    """Trusted masks, shifted ones of which some are missing or mislabelled, and their scores."""
    truth: Masks = []
    found: Masks = []
    for _ in range(12):
        places = rng.integers((0, 0, 8), (100, 60, 36), (8, 3))
        truth.append(
            [square(*map(int, place), label="ab"[i % 2]) for i, place in enumerate(places)]
        )
        moved = places + rng.integers(0, 4, places.shape)
        labels = rng.choice(["a", "b"], 8)
        is_right = rng.random(8) < 0.8
        found.append(
            [
                square(*map(int, place), label="ab"[i % 2] if is_right[i] else str(labels[i]))
                for i, place in enumerate(moved)
                if rng.random() < 0.8
            ]
        )
    return truth, found, [rng.random(len(masks)).tolist() for masks in found]


def by_pycocotools(truth: Masks, found: Masks, scores: list[list[float]]) -> tuple[float, float]:
    def records(masks: Masks) -> list[dict]:
        return [
            {
                "image_id": number,
                "category_id": "ab".index(str(mask.label)) + 1,
                "segmentation": to_coco(mask.rle),
                "area": mask.rle.area_px,
                "bbox": [0, 0, 1, 1],
                "iscrowd": 0,
            }
            for number, image in enumerate(masks, start=1)
            for mask in image
        ]

    known = COCO()
    known.dataset = {
        "images": [{"id": i + 1, "height": SIZE[0], "width": SIZE[1]} for i in range(len(truth))],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [{"id": i + 1, **one} for i, one in enumerate(records(truth))],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        known.createIndex()
        answers = [
            one | {"score": score}
            for one, score in zip(records(found), chain.from_iterable(scores), strict=True)
        ]
        judge = COCOeval(known, known.loadRes(answers), "segm")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0]), float(judge.stats[8])


@pytest.mark.parametrize("seed", range(4))
def test_they_are_those_of_pycocotools(seed: int) -> None:
    truth, found, scores = some(np.random.default_rng(seed))
    told = average_precision(truth, found, scores)
    assert told is not None
    assert (told.ap, told.ar) == pytest.approx(by_pycocotools(truth, found, scores))
    assert 0.1 < told.ap < 0.9
    for label, alone in told.by_label.items():
        mine = [
            [[m for m in masks if m.label == label] for masks in part] for part in (truth, found)
        ]
        sure = [
            [score for mask, score in zip(masks, image, strict=True) if mask.label == label]
            for masks, image in zip(found, scores, strict=True)
        ]
        assert (alone.ap, alone.ar) == pytest.approx(by_pycocotools(*mine, sure))


def test_no_answer_finds_nothing_and_no_truth_is_no_question() -> None:
    truth = [[square(0, 0, 9)]]
    told = average_precision(truth, [[]], [None])
    assert told is not None
    assert (told.ap, told.ar) == (0, 0)
    assert average_precision([[]], truth, [None]) is None


def test_a_persons_masks_are_equally_sure() -> None:
    truth = [[square(0, 0, 30), square(50, 0, 30)]]
    told = average_precision(truth, truth, [None])
    assert told is not None
    assert (told.ap, told.ar) == pytest.approx((1, 1))
