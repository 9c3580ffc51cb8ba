"""What people have drawn is not proposed again."""

import numpy as np
import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.semi_automatic.selection import split_boxed, split_repeats
from tests.semi_automatic.records import block, judged

CAR = block(10, 10, 60, 40)
ALMOST_CAR = judged(block(11, 10, 60, 41))
WHEEL = judged(block(15, 30, 25, 40))
STREET = judged(block(0, 5, 80, 60))
TREE = judged(block(65, 5, 78, 50))


@pytest.mark.parametrize(
    ("rule", "new"),
    [
        ("both", [WHEEL, STREET, TREE]),
        ("whole", [STREET, TREE]),
        ("parts", [WHEEL, TREE]),
    ],
)
def test_parts_and_wholes_of_a_drawn_mask(rule, new) -> None:
    found, repeats = split_repeats([ALMOST_CAR, WHEEL, STREET, TREE], [CAR], rule, 0.5, 0.8)
    assert found == new
    assert ALMOST_CAR in [one.judged for one in repeats]
    assert len(found) + len(repeats) == 4


def test_a_repeat_names_what_it_repeats() -> None:
    _, [repeat] = split_repeats([ALMOST_CAR], [block(0, 0, 5, 5), CAR], "both", 0.5, 0.8)
    assert repeat.drawn == 1
    assert repeat.iou == pytest.approx(49 * 30 / (50 * 30 + 49), abs=1e-6)


def test_drawn_in_pieces_is_drawn() -> None:
    pieces = [block(10, 10, 25, 40), block(25, 10, 40, 40), block(40, 10, 60, 40)]
    new, repeats = split_repeats([judged(CAR), TREE], pieces, "both", 0.5, 0.8)
    assert new == [TREE]
    assert len(repeats) == 1
    # one piece of three is a part that somebody has drawn: the whole is still news
    assert split_repeats([judged(CAR)], pieces[:1], "both", 0.5, 0.8)[1] == []


def test_nothing_drawn_and_nothing_proposed() -> None:
    assert split_repeats([TREE], [], "whole", 0.5, 0.8) == ([TREE], [])
    assert split_repeats([], [CAR], "whole", 0.5, 0.8) == ([], [])


def test_masks_of_another_image() -> None:
    with pytest.raises(InvalidInputError, match="one size"):
        split_repeats([TREE], [block(0, 0, 2, 2, (10, 10))], "both", 0.5, 0.8)


def test_a_drawn_rectangle_stands_for_what_has_its_box() -> None:
    boxes = np.array([[0.0, 0.0, 5.0, 5.0], [11.0, 9.0, 61.0, 40.0]])
    new, [repeat] = split_boxed([judged(CAR), WHEEL, STREET, TREE], boxes, 0.5)
    assert new == [WHEEL, STREET, TREE]
    assert repeat.drawn == 1
    assert repeat.iou == pytest.approx(49 * 30 / (50 * 30 + 50 * 31 - 49 * 30))
    assert split_boxed([TREE], boxes[:0], 0.5) == ([TREE], [])
    assert split_boxed([], boxes, 0.5) == ([], [])
