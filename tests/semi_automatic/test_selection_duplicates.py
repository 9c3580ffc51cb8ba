"""One mask an object."""

from sam_backend.semi_automatic.selection import split_duplicates
from tests.semi_automatic.records import block, judged

CAR = judged(block(10, 10, 60, 40), 0.9)
SURER_CAR = judged(block(10, 10, 60, 39), 0.95)
LONG_CAR = judged(block(10, 10, 72, 40), 0.8)  # an IoU of 0.81 with the first, 0.78 with the second
TREE = judged(block(65, 5, 78, 50), 0.5)


def test_the_surest_stays() -> None:
    kept, dropped = split_duplicates([CAR, TREE, SURER_CAR], 0.7)
    assert kept == [TREE, SURER_CAR]
    assert dropped == [CAR]
    assert split_duplicates([CAR, TREE], 0.7) == ([CAR, TREE], [])
    assert split_duplicates([], 0.7) == ([], [])


def test_only_what_stays_takes_others_away() -> None:
    assert split_duplicates([CAR, SURER_CAR, LONG_CAR], 0.8)[0] == [SURER_CAR, LONG_CAR]
    assert split_duplicates([CAR, SURER_CAR, LONG_CAR], 0.75)[0] == [SURER_CAR]
    assert len(split_duplicates([CAR, SURER_CAR, LONG_CAR], 1.0)[0]) == 3
