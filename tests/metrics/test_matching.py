"""Which mask is which."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sam_backend.datasets.types import LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import RLE
from sam_backend.metrics.matching import MATCHED_IOU, SURE_IOUS, assign, match_masks, pair
from tests.metrics.labelled import square


def pairs(truth: list[LabelledMask], found: list[LabelledMask]) -> list[tuple[int, int, bool]]:
    return [(one.truth, one.found, one.same_label) for one in match_masks(truth, found).matches]


def test_the_same_label_goes_before_a_higher_iou() -> None:
    truth = [square(0, 0, 20, label="a"), square(4, 0, 20, label="b")]
    found = [square(4, 0, 20, label="a"), square(0, 0, 20, label="b")]
    assert pairs(truth, found) == [(0, 0, True), (1, 1, True)]


def test_the_right_place_under_a_wrong_label_is_a_match() -> None:
    matching = match_masks([square(0, 0, 20, label="a")], [square(0, 0, 20, label="b")])
    assert [(one.iou, one.same_label) for one in matching.matches] == [(1.0, False)]
    assert matching.missing == matching.extra == ()


def test_what_has_no_partner_is_missing_or_too_much() -> None:
    matching = match_masks(
        [square(0, 0, 10), square(40, 0, 10)],
        [square(80, 0, 10), square(40, 0, 10), square(9, 9, 9)],
    )
    assert [(one.truth, one.found) for one in matching.matches] == [(1, 1)]
    assert matching.missing == (0,)
    assert matching.extra == (0, 2)


def test_a_badly_drawn_thing_is_that_thing() -> None:
    assert pairs([square(10, 10, 10)], [square(7, 7, 16)]) == [(0, 0, True)]  # IoU 0.39
    assert pairs([square(10, 10, 10)], [square(5, 5, 21)]) == []  # IoU 0.23


def test_nothing_is_matched_with_nothing() -> None:
    assert match_masks([], []).matches == ()
    assert match_masks([square(0, 0, 9)], []).missing == (0,)
    assert match_masks([], [square(0, 0, 9)]).extra == (0,)


def test_masks_of_other_images_are_refused() -> None:
    other = LabelledMask(RLE((3, 3), np.array([0, 9], np.uint32)), "a")
    with pytest.raises(InvalidInputError, match="must have one size"):
        match_masks([square(0, 0, 9)], [other])


def nested(*widths: int) -> list[LabelledMask]:
    """Rectangles within each other, of one label."""
    return [square(0, 0, width, 40) for width in widths]


# IoUs: the first two 0.9, crosswise 0.5 and 0.43, the second ones 0.24
TRUE_PARTS, FOUND_PARTS = nested(40, 84), nested(36, 20)


def test_a_sure_pair_is_not_given_up_for_two_poor_ones() -> None:
    assert pairs(TRUE_PARTS, FOUND_PARTS) == [(0, 0, True)]


def test_at_an_iou_as_many_masks_are_found_as_there_can_be() -> None:
    matching = match_masks(TRUE_PARTS, FOUND_PARTS)
    assert matching.right(0.75).tolist() == pytest.approx([0.9, 0])
    assert matching.right(0.4).tolist() == pytest.approx([20 / 40, 36 / 84])
    assert matching.right(0.95).tolist() == [0, 0]


def test_three_pairs_count_for_more_than_two_better_ones() -> None:
    ious = np.array([[0.5, 1, 0], [0, 0.5, 1], [0, 0, 0.5]])
    assert assign(ious, 0.5) == [(0, 0), (1, 1), (2, 2)]
    assert sorted(pair(ious, 0.5)) == [(0, 1), (1, 2)]


matrices = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: st.lists(
        st.lists(st.integers(0, 20), min_size=shape[1], max_size=shape[1]),
        min_size=shape[0],
        max_size=shape[0],
    )
)


@given(matrices, st.sampled_from([0.25, 0.5, 0.75]))
@example([[5, 18], [0, 5]], 0.25)  # two pairs of 0.25 are less together than one of 0.9
def test_an_assignment_has_the_most_pairs_and_then_the_largest_summed_iou(
    rows: list[list[int]], min_iou: float
) -> None:
    ious = np.array(rows) / 20
    wide = ious if ious.shape[0] <= ious.shape[1] else ious.T
    best = max(
        (sum(one >= min_iou for one in chosen), sum(one for one in chosen if one >= min_iou))
        for order in permutations(range(wide.shape[1]), wide.shape[0])
        for chosen in [[wide[row, column] for row, column in enumerate(order)]]
    )
    found = assign(ious, min_iou)
    assert len({i for i, _ in found}) == len({j for _, j in found}) == len(found) == best[0]
    assert sum(ious[one] for one in found) == pytest.approx(best[1])
    assert all(ious[one] >= min_iou for one in found)


@given(matrices)
def test_the_surest_pairs_are_made_first(rows: list[list[int]]) -> None:
    ious = np.array(rows) / 20
    found = pair(ious, MATCHED_IOU)
    assert sum(ious[one] >= SURE_IOUS[0] for one in found) == len(assign(ious, SURE_IOUS[0]))
    rest = ious.copy()
    for row, column in found:
        rest[row, :] = rest[:, column] = 0
    assert (rest < MATCHED_IOU).all(), "two that are left could have been paired"
