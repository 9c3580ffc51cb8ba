"""Recall of automatic proposals."""

import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sam_backend.datasets.types import LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import RLE, encode, to_coco
from sam_backend.metrics.automatic import (
    THRESHOLDS,
    AutomaticReport,
    ImageRecall,
    Proposal,
    image_recall,
)


def stripe(start: int, stop: int) -> RLE:
    """Columns `start` to `stop` of an image 10 px high and 100 px wide."""
    mask = np.zeros((10, 100), np.bool_)
    mask[:, start:stop] = True
    return encode(mask)


def human(*stripes: tuple[int, int], annotator: str = "a") -> list[LabelledMask]:
    return [LabelledMask(stripe(*one), annotator=annotator) for one in stripes]


def proposed(*stripes: tuple[int, int]) -> list[Proposal]:
    return [Proposal(stripe(*one), 1 - i / 100) for i, one in enumerate(stripes)]


def recalls(proposals: list[Proposal], truths: list[LabelledMask], **given: int) -> list[float]:
    """Recall at each threshold."""
    report = AutomaticReport((image_recall("i", proposals, truths, **given),))
    return [report.recall(threshold) for threshold in THRESHOLDS]


@pytest.mark.parametrize(
    ("proposals", "average"),
    [
        ([(0, 40), (40, 100)], 1.0),
        ([(0, 40)], 0.5),
        ([(0, 20), (40, 100)], (1 + 9 * 0.5) / 10),
        ([(0, 19), (41, 100)], 0.5),  # IoUs of 0.475 and 0.98
        ([(0, 30), (0, 40), (0, 35)], 0.5),
        ([], 0.0),
    ],
    ids=["all", "one", "half counts", "less than half does not", "best of many", "none"],
)
def test_each_mask_gets_its_proposal(proposals: list[tuple[int, int]], average: float) -> None:
    found = image_recall("i", proposed(*proposals), human((0, 40), (40, 100)))
    assert AutomaticReport((found,)).average_recall == pytest.approx(average)
    assert (found.n_proposals, found.n_masks) == (len(proposals), 2)


def test_a_proposal_answers_for_one_mask_of_each_annotator() -> None:
    assert recalls(proposed((0, 40)), human((0, 40), (0, 50))) == [0.5] * 10
    twice = [*human((0, 40)), *human((0, 40), annotator="b")]
    assert recalls(proposed((0, 40)), twice) == [1] * 10


def test_only_the_best_scored_ones_count() -> None:
    assert recalls(proposed((40, 100), (0, 40)), human((0, 40)), limit=1) == [0] * 10


def random_masks(rng: np.random.Generator, n: int) -> list[RLE]:
    """Rectangles that overlap and lie in each other; some twice."""
    found: list[RLE] = []
    for _ in range(n):
        mask = np.zeros((24, 30), np.bool_)
        x, y = rng.integers(0, 6, 2)
        mask[y : y + rng.integers(8, 18), x : x + rng.integers(8, 24)] = True
        found.append(encode(mask))
        if rng.random() < 0.2:
            found.append(found[rng.integers(len(found))])
    return found


def coco_recalls(proposals: list[list[Proposal]], truths: list[list[LabelledMask]]) -> list[float]:
    """Recall at each threshold, by pycocotools."""
    sizes = [{"id": i, "height": 24, "width": 30} for i in range(len(truths))]

    def records(image: int, rle: RLE) -> dict[str, object]:
        return {"image_id": image, "category_id": 1, "segmentation": to_coco(rle)}

    wanted = [
        records(i, one.rle) | {"iscrowd": 0, "area": one.rle.area_px}
        for i, image in enumerate(truths)
        for one in image
    ]
    given = [
        records(i, one.rle) | {"score": one.score}
        for i, image in enumerate(proposals)
        for one in image
    ]
    known = COCO()
    known.dataset = {
        "info": {},
        "images": sizes,
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [{"id": n, **one} for n, one in enumerate(wanted, 1)],
    }
    known.createIndex()
    judge = COCOeval(known, known.loadRes(given), "segm")
    judge.params.maxDets = [1000]
    judge.evaluate()
    judge.accumulate()
    return judge.eval["recall"][:, 0, 0, 0].tolist()


@pytest.mark.parametrize("seed", range(6))
def test_recall_is_that_of_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truths = [[LabelledMask(m) for m in random_masks(rng, rng.integers(1, 9))] for _ in range(8)]
    proposals = [
        [Proposal(m, float(rng.integers(1, 9))) for m in random_masks(rng, rng.integers(1, 20))]
        for _ in truths
    ]
    images = [image_recall("i", a, b) for a, b in zip(proposals, truths, strict=True)]
    report = AutomaticReport(tuple(images))
    theirs = coco_recalls(proposals, truths)
    assert [report.recall(one) for one in THRESHOLDS] == pytest.approx(theirs)
    assert report.average_recall == pytest.approx(np.mean(theirs))


def test_of_masks_that_fit_equally_well_a_proposal_takes_the_one_that_pycocotools_takes() -> None:
    def mask(start: int, stop: int) -> RLE:
        pixels = np.zeros((24, 30), np.bool_)
        pixels[:, start:stop] = True
        return encode(pixels)

    proposals = [Proposal(mask(3, 15), 0.9), Proposal(mask(0, 12), 0.8)]
    for ends, recall in [([(0, 12), (6, 18)], 1), ([(6, 18), (0, 12)], 0.5)]:
        truths = [LabelledMask(mask(*one)) for one in ends]
        assert recalls(proposals, truths)[0] == recall
        assert recalls(proposals, truths) == pytest.approx(coco_recalls([proposals], [truths]))


def test_average_recall_is_the_mean_over_ten_thresholds() -> None:
    first = ImageRecall("i", 7, 2, (2,) * 5 + (1,) * 5)
    report = AutomaticReport((first, ImageRecall("j", 1, 2, (1,) + (0,) * 9)))
    assert report.recall(0.5) == 0.75
    assert report.recall(0.75) == 0.25
    assert report.average_recall == pytest.approx((0.75 + 4 * 0.5 + 5 * 0.25) / 10)
    told = json.loads(json.dumps(report.as_json()))
    assert told["AR@1000"] == report.average_recall
    assert told["proposals_per_image"] == 4


def test_no_human_mask_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="at least one human mask"):
        AutomaticReport((ImageRecall("i", 7, 0, (0,) * 10),))


def test_void_pixels_count_neither_for_nor_against_a_proposal() -> None:
    void = [LabelledMask(stripe(0, 40), ignore=stripe(30, 90))]
    # of columns 0 to 30 the proposal finds 28 and claims 90 to 92 wrongly
    assert recalls(proposed((2, 92)), void) == [1.0] * 8 + [0.0] * 2
    assert recalls(proposed((2, 92)), [LabelledMask(stripe(0, 40))]) == [0.0] * 10
