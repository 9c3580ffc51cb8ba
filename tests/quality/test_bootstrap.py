"""Intervals over images."""

import numpy as np
import pytest
from scipy import stats

from sam_backend.errors import InvalidInputError
from sam_backend.quality.bootstrap import difference, interval
from sam_backend.quality.figures import CALIBRATION_ERROR, figures, miou
from sam_backend.quality.interactive import InteractiveReport
from tests.quality.reports import chance_reports, result


def one_mask_an_image(ious: list[float]) -> InteractiveReport:
    return InteractiveReport(tuple(result(str(i), str(i), iou) for i, iou in enumerate(ious)))


def test_with_one_mask_an_image_it_is_the_common_bootstrap() -> None:
    ious = np.random.default_rng(0).uniform(0, 1, 400)
    ours = interval(one_mask_an_image(ious.tolist()), miou(1))
    theirs = stats.bootstrap((ious,), np.mean, method="percentile", rng=1).confidence_interval
    assert ours.value == pytest.approx(ious.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_masks_of_one_image_are_no_new_witnesses() -> None:
    ious = [0.2, 0.9, 0.5, 0.7, 0.4, 0.8]
    many = InteractiveReport(
        tuple(result(str(i), f"{i} {n}", iou) for i, iou in enumerate(ious) for n in range(30))
    )
    few, crowd = interval(one_mask_an_image(ious), miou(1)), interval(many, miou(1))
    assert (few.low, few.high) == pytest.approx((crowd.low, crowd.high))


@pytest.mark.parametrize("n_images", [5, 30])
def test_nine_of_ten_intervals_and_more_hold_the_truth(n_images: int) -> None:
    rng = np.random.default_rng(3)
    found = [difference(*chance_reports(rng, n_images, 0.0), miou(1)) for _ in range(120)]
    assert sum(one.low <= 0 <= one.high for one in found) >= 108


def test_a_report_differs_from_itself_by_nothing() -> None:
    report, _ = chance_reports(np.random.default_rng(1), 8, 0.0)
    for figure in figures(report.max_clicks):
        found = difference(report, report, figure)
        assert (found.value, found.low, found.high) == (0, 0, 0)


def test_the_same_seed_gives_the_same_interval() -> None:
    report, _ = chance_reports(np.random.default_rng(1), 8, 0.0)
    assert interval(report, miou(3), seed=4) == interval(report, miou(3), seed=4)
    assert interval(report, miou(3), seed=4) != interval(report, miou(3), seed=5)


def test_calibration_is_drawn_by_images_too() -> None:
    well = [result(str(i), str(i), 0.7, predicted=0.7) for i in range(20)]
    badly = [result(str(i), str(i), 0.7, predicted=0.9) for i in range(20)]
    found = difference(
        InteractiveReport(tuple(well)), InteractiveReport(tuple(badly)), CALIBRATION_ERROR
    )
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.2, 0.2))


def test_other_masks_have_no_difference() -> None:
    with pytest.raises(InvalidInputError, match="not of the same masks"):
        difference(one_mask_an_image([0.5] * 5), one_mask_an_image([0.5] * 6), miou(1))


def test_one_image_has_no_interval() -> None:
    with pytest.raises(InvalidInputError, match="at least two images"):
        interval(one_mask_an_image([0.5]), miou(1))
