"""Whether a challenger may replace the champion."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sam_backend.json_form import as_json
from sam_backend.metrics.gate import GATED, GateDecision, decide
from sam_backend.metrics.interactive import InteractiveReport
from sam_backend.metrics.intervals import MIN_IMAGES
from tests.metrics.reports import chance_reports, result

LEVELS = [0.3, 0.35, 0.4, 0.5, 0.55, 0.6, 0.7, 0.75]


def report(gain: float = 0.0, n_images: int = len(LEVELS), **given: float) -> InteractiveReport:
    """Masks of `LEVELS`, two an image, all better by `gain`."""
    return InteractiveReport(
        tuple(
            result(str(i), f"{i} {n}", level + gain, **given)
            for i in range(n_images)
            for level in [LEVELS[i % len(LEVELS)]]
            for n in range(2)
        )
    )


def verdicts(champion: InteractiveReport, challenger: InteractiveReport) -> dict[str, str]:
    return {one.figure: one.verdict for one in decide(champion, challenger).comparisons}


def test_a_better_one_is_promoted() -> None:
    decision = decide(report(), report(0.1))
    assert decision.promote
    assert "1-click mIoU goes from 0.519 to 0.619 (+0.100, 95% interval" in decision.reasons[1]
    assert {one.verdict for one in decision.comparisons} <= {"better", "same"}


def test_an_equal_one_is_kept_back() -> None:
    decision = decide(report(), report())
    assert not decision.promote
    assert {one.verdict for one in decision.comparisons} == {"same"}
    assert decision.reasons == (
        "Kept the champion: no figure of the challenger is better by more than chance.",
    )


def test_a_worse_one_is_refused_with_every_figure_that_fell() -> None:
    """Images enough, for the one more that NoC's intervals reckon with to weigh little."""
    decision = decide(report(n_images=40), report(-0.2, n_images=40))
    assert not decision.promote
    assert "Kept the champion" in decision.reasons[0]
    told = " ".join(decision.reasons)
    for name in ("1-click mIoU", "3-click mIoU", "NoC@85", "NoC@90", "box mIoU", "boundary IoU"):
        assert name in told


@pytest.mark.parametrize(
    ("given", "figure"),
    [
        ({"box": 0.2}, "box mIoU"),
        ({"predicted": 1.0}, "calibration error"),
    ],
)
def test_one_figure_that_fell_is_enough(given: dict[str, float], figure: str) -> None:
    found = verdicts(report(), report(0.05, **given))
    assert found[figure] == "worse"
    assert "better" in found.values()
    assert not decide(report(), report(0.05, **given)).promote


def test_answers_to_other_masks_are_refused() -> None:
    rng = np.random.default_rng(0)
    champion, _ = chance_reports(rng, 20, 0.0)
    shuffled = InteractiveReport(
        tuple(
            result(r.image, r.mask, iou, predicted=r.predicted_iou)
            for r, iou in zip(champion.results, rng.uniform(0, 0.3, champion.n_masks), strict=True)
        )
    )
    assert not decide(champion, shuffled).promote


@pytest.mark.parametrize("n_images", range(1, MIN_IMAGES))
def test_too_few_images_are_no_proof(n_images: int) -> None:
    decision = decide(report(n_images=n_images), report(0.2, n_images))
    assert not decision.promote
    assert f"{n_images} images; fewer than {MIN_IMAGES}" in decision.reasons[0]


@pytest.mark.parametrize(
    "other", [report(n_images=7), replace(report(), max_clicks=9)], ids=["masks", "clicks"]
)
def test_reports_of_different_work_are_refused(other: InteractiveReport) -> None:
    decision = decide(report(), other)
    assert not decision.promote
    assert "not measured on the same masks" in decision.reasons[0]


def test_chance_promotes_few_equal_models_and_lets_no_worse_one_through() -> None:
    rng = np.random.default_rng(7)
    for n_images in (MIN_IMAGES, 20):
        equal = sum(decide(*chance_reports(rng, n_images, 0.0)).promote for _ in range(40))
        assert equal <= 7  # one of seven figures is better by chance
        assert not any(decide(*chance_reports(rng, n_images, -0.15)).promote for _ in range(12))
        assert all(decide(*chance_reports(rng, n_images, 0.15)).promote for _ in range(12))


def test_a_decision_can_be_stored() -> None:
    decision = decide(report(), report(-0.2))
    told = json.loads(json.dumps(as_json(decision)))
    assert told["promote"] is False
    assert [one["figure"] for one in told["comparisons"]] == [figure.name for figure in GATED]
    assert GateDecision.of(told) == decision
