"""Which mask is which."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_backend.datasets.types import LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.masks.overlap import iou_matrix
from sam_backend.masks.rle import RLE
from sam_backend.quality.matching import match_masks
from tests.quality.labelled import square


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


shifts = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=4)


@given(shifts, shifts)
def test_the_summed_iou_is_the_largest_of_all_assignments(
    a: list[tuple[int, int]], b: list[tuple[int, int]]
) -> None:
    truth, found = ([square(x, y, 30) for x, y in places] for places in (a, b))
    ious = iou_matrix([one.rle for one in truth], [one.rle for one in found])
    worth = np.where(ious >= 0.25, ious, 0)
    if len(truth) > len(found):
        worth = worth.T
    best = max(
        sum(worth[row, column] for row, column in enumerate(order))
        for order in permutations(range(worth.shape[1]), worth.shape[0])
    )
    assert sum(one.iou for one in match_masks(truth, found).matches) == pytest.approx(best)
