"""Which masks are believed."""

from dataclasses import replace

import pytest

from sam_backend.quality.calibration.calibrated_model import CalibratedModel
from sam_backend.quality.calibration.probability import Calibration
from sam_backend.semi_automatic.triage import (
    Bar,
    Outcome,
    confidence_of,
    predicted_confidence,
    proven_triage,
    triage,
)
from tests.quality.calibration.calibrated import calibrated_model
from tests.semi_automatic.records import block, record


@pytest.mark.parametrize(
    ("predicted_iou", "stability", "outcome", "confidence"),
    [
        (0.95, 0.97, "accept", 0.95),
        (0.88, 0.95, "accept", 0.88),
        (0.879, 0.99, "review", 0.879),
        (0.99, 0.949, "review", 0.99),
        (0.8, 0.9, "review", 0.8),
        (0.79, 0.99, "discard", 0.79),
        (0.99, 0.89, "discard", 0.99),
        (1.2, 1.0, "accept", 1.0),
        (-0.1, 0.0, "discard", 0.0),
    ],
)
def test_both_figures_must_reach_the_bar(
    predicted_iou: float, stability: float, outcome: str, confidence: float
) -> None:
    one = record(block(1, 1, 5, 5), predicted_iou, stability)
    [judged] = triage([one], accept=Bar(0.88, 0.95), review=Bar(0.8, 0.9))
    assert (judged.outcome, judged.confidence) == (outcome, confidence)
    assert judged.record is one


def test_another_confidence_changes_the_score_and_not_the_order() -> None:
    records = [record(block(1, 1, n, 5), 0.9, 0.99) for n in (3, 5, 4)]
    found = triage(records, Bar(0, 0), Bar(0, 0), confidence=lambda one: one.area_px / 100)
    assert [one.confidence for one in found] == [0.08, 0.16, 0.12]


BAR = Bar(0.5, 0.5)


def ends(known: CalibratedModel | None, audit_share: float = 0.0) -> list[str]:
    """What becomes of masks with predicted IoUs of 0.1, 0.3, …, 0.9."""
    records = [record(block(1, 1, n + 3, 9), (2 * n + 1) / 10, 0.9) for n in range(5)]
    return [one.outcome.value for one in proven_triage(records, known, BAR, audit_share)]


@pytest.mark.parametrize(
    ("accept", "discard", "expected"),
    [
        (0.8, 0.4, ["discard", "discard", "review", "review", "accept"]),
        (None, 0.4, ["discard", "discard", "review", "review", "review"]),
        (0.8, None, ["discard", "discard", "review", "review", "accept"]),  # by the bar
        (None, None, ["discard", "discard", "review", "review", "review"]),
    ],
)
def test_only_what_is_proven_is_done(
    accept: float | None, discard: float | None, expected: list[str]
) -> None:
    assert ends(replace(calibrated_model(), accept=accept, discard=discard)) == expected


def test_without_trust_nothing_is_accepted() -> None:
    assert ends(None) == ["discard", "discard", "review", "review", "review"]


def test_chance_draws_from_what_is_accepted_and_discarded() -> None:
    known = replace(calibrated_model(), accept=0.6, discard=0.4)
    records = [
        record(block(x, y, x + 9, y + 9), 0.2 + 0.3 * (x % 3))
        for x in range(1, 60)
        for y in range(1, 40)
    ]
    found = proven_triage(records, known, BAR, 0.1)
    for outcome, share in ((Outcome.DISCARD, 0.1), (Outcome.ACCEPT, 1.0)):
        drawn = [one for one in found if one.drawn_for is outcome]
        kept = [one for one in found if one.outcome is outcome]
        assert len(drawn) / (len(drawn) + len(kept)) == pytest.approx(0.1, abs=0.04)
        assert {one.outcome for one in drawn} == {Outcome.REVIEW}
        assert {one.shown_share for one in drawn} == {share}
    again = proven_triage(records[::-1], known, BAR, 0.1)[::-1]
    assert [one.drawn_for for one in again] == [one.drawn_for for one in found]
    reviewed = [one for one in found if 0.4 <= one.confidence < 0.6]
    assert {one.drawn_for for one in reviewed} == {None}


def test_scores_are_probabilities_once_they_can_be() -> None:
    one = record(block(1, 1, 5, 5), 0.7)
    assert confidence_of(None) is predicted_confidence
    half = Calibration((0.0,) * 5, (1.0,) * 5, (1.0, 0, 0, 0, 0), 0.0, (0.0, 1.0), (0.0, 0.5))
    assert confidence_of(replace(calibrated_model(), calibration=half))(one) == pytest.approx(0.35)
