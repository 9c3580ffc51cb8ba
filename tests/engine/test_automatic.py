"""Thresholds of automatic masks: SAM's own, a checkpoint's, or somebody's."""

import pytest

from sam_backend.engine.automatic import AutomaticThresholds
from sam_backend.errors import InvalidInputError


@pytest.mark.parametrize(
    ("card", "given", "expected"),
    [
        ({}, {}, AutomaticThresholds(0.88, 0.95, 0.7, 32)),
        ({"predicted_iou": 0.3}, {}, AutomaticThresholds(0.3, 0.95, 0.7, 32)),
        ({"predicted_iou": 0.3}, {"predicted_iou": 0.5}, AutomaticThresholds(0.5, 0.95, 0.7, 32)),
        ({"predicted_iou": 0.3}, {"predicted_iou": None}, AutomaticThresholds(0.3, 0.95, 0.7, 32)),
        ({"points_per_side": 16.0}, {"stability": 0.0}, AutomaticThresholds(0.88, 0.0, 0.7, 16)),
    ],
)
def test_a_card_suggests_and_what_is_given_wins(
    card: dict[str, float], given: dict[str, float | None], expected: AutomaticThresholds
) -> None:
    assert AutomaticThresholds.of(card, **given) == expected


@pytest.mark.parametrize(
    ("card", "reason"),
    [({"predicted_io": 0.3}, "no threshold predicted_io"), ({"stability": 1.5}, "not 1.5")],
)
def test_thresholds_that_make_no_sense_are_refused(card: dict[str, float], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        AutomaticThresholds.of(card)
