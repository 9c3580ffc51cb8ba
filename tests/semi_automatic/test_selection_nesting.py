"""Objects and their parts."""

import pytest

from sam_backend.semi_automatic.selection import select_nested
from tests.semi_automatic.records import block, judged

CAR = judged(block(10, 10, 60, 40))
WHEEL = judged(block(15, 30, 25, 40))
HUB = judged(block(18, 33, 22, 37))
TREE = judged(block(65, 5, 78, 50))
TWIN = judged(block(10, 10, 60, 41))  # all but the car


@pytest.mark.parametrize(
    ("rule", "given", "kept"),
    [
        ("both", [CAR, WHEEL, HUB, TREE], [CAR, WHEEL, HUB, TREE]),
        ("whole", [CAR, WHEEL, HUB, TREE], [CAR, TREE]),
        ("parts", [CAR, WHEEL, HUB, TREE], [HUB, TREE]),
        ("whole", [WHEEL, CAR], [CAR]),
        ("whole", [CAR, TWIN], [CAR, TWIN]),
        ("parts", [CAR, TWIN], [CAR, TWIN]),
        ("whole", [WHEEL], [WHEEL]),
        ("parts", [], []),
    ],
)
def test_the_rule_says_who_stays(rule, given, kept) -> None:
    found, dropped = select_nested(given, rule, 0.8)
    assert found == kept
    assert dropped == [one for one in given if one not in kept]


def test_partly_inside_is_no_part() -> None:
    half_out = judged(block(50, 20, 70, 30))  # half of it lies in the car
    assert select_nested([CAR, half_out], "whole", 0.8)[0] == [CAR, half_out]
    assert select_nested([CAR, half_out], "whole", 0.5)[0] == [CAR]
