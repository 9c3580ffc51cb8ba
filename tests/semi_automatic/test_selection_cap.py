"""The limit of masks."""

from dataclasses import replace

from sam_backend.semi_automatic.selection import cap
from sam_backend.semi_automatic.triage import Outcome
from tests.semi_automatic.records import block, judged

BIG = judged(block(0, 0, 40, 40), 0.5)
MIDDLE = judged(block(0, 0, 30, 30), 0.95)
SMALL = judged(block(0, 0, 10, 10), 0.99)


def test_the_most_valuable_stay_and_large_ones_come_first() -> None:
    kept, cut = cap([SMALL, MIDDLE, BIG], 2)
    # 0.95 * 900 = 855 before 0.5 * 1600 = 800 before 99
    assert kept == [BIG, MIDDLE]
    assert cut == [SMALL]
    assert cap([SMALL, MIDDLE, BIG], 1) == ([MIDDLE], [BIG, SMALL])
    assert cap([SMALL, MIDDLE, BIG], 3) == ([BIG, MIDDLE, SMALL], [])
    assert cap([], 3) == ([], [])


def test_what_chance_has_drawn_stays() -> None:
    drawn = replace(SMALL, drawn_for=Outcome.DISCARD)
    assert cap([drawn, MIDDLE, BIG], 2) == ([MIDDLE, drawn], [BIG])
