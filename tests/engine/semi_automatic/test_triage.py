"""Which masks are believed."""

import pytest

from sam_backend.engine.semi_automatic.triage import Bar, triage
from tests.engine.semi_automatic.records import block, record


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
