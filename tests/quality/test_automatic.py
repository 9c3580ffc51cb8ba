"""Recall of automatic proposals."""

import json

import numpy as np
import pytest

from sam_backend.datasets.types import LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import RLE, encode
from sam_backend.quality.automatic import AutomaticReport, ImageRecall, Proposal, image_recall


def stripe(start: int, stop: int) -> RLE:
    """Columns `start` to `stop` of an image 10 px high and 100 px wide."""
    mask = np.zeros((10, 100), np.bool_)
    mask[:, start:stop] = True
    return encode(mask)


def human(*stripes: tuple[int, int], annotator: str = "a") -> list[LabelledMask]:
    return [LabelledMask(stripe(*one), annotator=annotator) for one in stripes]


def proposed(*stripes: tuple[int, int]) -> list[Proposal]:
    return [Proposal(stripe(*one), 1 - i / 100) for i, one in enumerate(stripes)]


@pytest.mark.parametrize(
    ("proposals", "expected"),
    [
        ([(0, 40), (40, 100)], [1.0, 1.0]),
        ([(0, 40)], [1.0, 0.0]),
        ([(0, 20), (40, 100)], [0.5, 1.0]),
        ([(0, 19), (41, 100)], [0.0, 59 / 60]),
        ([(0, 30), (0, 40), (0, 35)], [1.0, 0.0]),
        ([], [0.0, 0.0]),
    ],
    ids=["all", "one", "half counts", "less than half does not", "best of many", "none"],
)
def test_each_mask_gets_its_proposal(
    proposals: list[tuple[int, int]], expected: list[float]
) -> None:
    found = image_recall("i", proposed(*proposals), human((0, 40), (40, 100)))
    assert found.ious == pytest.approx(expected)
    assert found.n_proposals == len(proposals)


def test_a_proposal_answers_for_one_mask_of_each_annotator() -> None:
    nested = human((0, 40), (0, 50))
    assert sorted(image_recall("i", proposed((0, 40)), nested).ious) == [0, 1]
    twice = [*human((0, 40)), *human((0, 40), annotator="b")]
    assert image_recall("i", proposed((0, 40)), twice).ious == (1, 1)


def test_matching_does_not_waste_a_proposal() -> None:
    found = image_recall("i", proposed((0, 50), (0, 60)), human((0, 50), (0, 40)))
    assert all(iou >= 0.5 for iou in found.ious)


def test_only_the_best_scored_ones_count() -> None:
    found = image_recall("i", proposed((40, 100), (0, 40)), human((0, 40)), limit=1)
    assert found.ious == (0,)
    assert found.n_proposals == 2


def test_average_recall_is_the_mean_over_ten_thresholds() -> None:
    report = AutomaticReport((ImageRecall("i", 7, (1.0, 0.72)), ImageRecall("j", 1, (0.0, 0.5))))
    assert report.recall(0.5) == 0.75
    assert report.recall(0.75) == 0.25
    assert report.average_recall == pytest.approx((0.75 + 4 * 0.5 + 5 * 0.25) / 10)
    told = json.loads(json.dumps(report.as_json()))
    assert told["AR@1000"] == report.average_recall
    assert told["proposals per image"] == 4


def test_no_human_mask_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="at least one human mask"):
        AutomaticReport((ImageRecall("i", 7, ()),))
