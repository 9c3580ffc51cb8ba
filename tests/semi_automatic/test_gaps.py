"""Coverage, gaps and the score that orders tasks, by hand-worked figures."""

import pytest

from sam_backend.masks.rle import decode
from sam_backend.semi_automatic.gaps import find_gaps, prediction_score
from sam_backend.semi_automatic.triage import Outcome
from tests.semi_automatic.records import SIZE, block, judged

N_PIXELS = SIZE[0] * SIZE[1]
LEFT = block(0, 0, 40, 60)


def test_coverage_counts_accepted_and_drawn_pixels_once() -> None:
    seen = [judged(LEFT), judged(block(20, 0, 50, 60), outcome=Outcome.REVIEW)]
    assert find_gaps(seen, [], SIZE).coverage == 0.5
    assert find_gaps(seen, [block(30, 0, 60, 60)], SIZE).coverage == 0.75
    assert find_gaps([], [], SIZE).coverage == 0
    assert find_gaps([judged(block(0, 0, 80, 60))], [], SIZE).coverage == 1


def test_gaps_are_what_the_model_saw_outside() -> None:
    wide = judged(block(30, 0, 70, 20), outcome=Outcome.REVIEW)  # 30 x 20 of it uncovered
    deep = judged(block(45, 30, 75, 55), outcome=Outcome.DISCARD)  # 30 x 25, all of it
    inside = judged(block(5, 5, 30, 30), outcome=Outcome.DISCARD)
    found = find_gaps([judged(LEFT), wide, deep, inside], [], SIZE).largest
    assert [gap.area_px for gap in found] == [750, 600]
    assert found[0].share == pytest.approx(750 / N_PIXELS)
    for gap, one in zip(found, (deep, wide), strict=True):
        assert decode(one.record.rle)[gap.y, gap.x]
        assert not decode(LEFT)[gap.y, gap.x]


def test_gaps_do_not_overlap_and_are_bounded() -> None:
    nested = [
        judged(block(40, 0, 40 + side, side), outcome=Outcome.DISCARD) for side in (40, 30, 20)
    ]
    assert [gap.area_px for gap in find_gaps(nested, [], SIZE).largest] == [1600]
    apart = [judged(block(12 * i, 0, 12 * i + 11, 11), outcome=Outcome.REVIEW) for i in range(6)]
    assert len(find_gaps(apart, [], SIZE).largest) == 5
    assert len(find_gaps(apart, [], SIZE, n_most=2).largest) == 2


def test_rests_along_an_edge_are_no_gap() -> None:
    almost_covered = judged(block(0, 0, 41, 60), outcome=Outcome.REVIEW)  # 60 px stick out
    assert find_gaps([judged(LEFT), almost_covered], [], SIZE).largest == ()


def test_score_is_confident_coverage() -> None:
    assert prediction_score([], [], SIZE) == 0
    assert prediction_score([judged(LEFT, 0.9)], [], SIZE) == pytest.approx(0.45)
    both = [judged(LEFT, 0.9), judged(block(20, 0, 60, 60), 0.6)]
    assert prediction_score(both, [], SIZE) == pytest.approx(0.5 * 0.9 + 0.25 * 0.6)
    assert prediction_score(both, [block(0, 0, 80, 60)], SIZE) == 1
    suggested = judged(LEFT, 0.9, Outcome.REVIEW)
    assert prediction_score([suggested], [], SIZE) == 0, "a suggestion is nothing known"
