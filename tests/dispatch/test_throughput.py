"""How fast people are."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sam_backend.dispatch.throughput import FIRST_SECONDS_A_MASK, throughput_of
from sam_backend.store.revisions import Revision, Subject

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def done(
    number: int, author: str | None, seconds: float | None, regions: int = 1, task: int = 0
) -> Revision:
    return Revision(
        id=number,
        subject=Subject.ANNOTATION,
        number=number,
        task=task or number,
        change="saved",
        person=author,
        stamp=NOON + timedelta(minutes=number),
        digest="d",
        regions=regions,
        author=author,
        made_at=NOON + timedelta(minutes=number),
        lead_time_s=seconds,
        is_skipped=False,
        source="webhook",
        at=NOON,
    )


def test_before_anybody_has_labelled_the_papers_figures_hold() -> None:
    paces = throughput_of([], {})
    assert paces.seconds_of("7") == FIRST_SECONDS_A_MASK
    assert (paces.masks_of(None), paces.masks_of(4), paces.masks_of(0)) == (20.0, 4.0, 1.0)


def test_a_newcomer_is_like_others_and_becomes_oneself() -> None:
    others = [done(number, "slow", 30.0) for number in range(1, 30)]
    paces = throughput_of([*others, done(50, "fast", 10.0)], {})
    assert paces.usual_seconds_a_mask == 30.0
    assert paces.seconds_of("nobody") == 30.0
    assert paces.seconds_of("fast") == pytest.approx(30 - 20 / 4)
    more = [done(50 + number, "fast", 10.0) for number in range(40)]
    assert throughput_of([*others, *more], {}).seconds_of("fast") == pytest.approx(10, abs=0.5)


def test_lunch_with_a_task_open_is_not_the_pace() -> None:
    usual = [done(number, "a", 20.0, regions=2) for number in range(1, 20)]
    paces = throughput_of([*usual, done(20, "a", 7200.0, regions=2)], {})
    assert paces.seconds_of("a") < 15.0


def test_skipped_tasks_and_unknown_authors_tell_nothing() -> None:
    skipped = replace(done(1, "a", 500.0), is_skipped=True)
    assert throughput_of([skipped, done(2, None, 9.0), done(3, "a", None)], {}).seconds_a_mask == {}


def test_prefilled_tasks_tell_what_becomes_of_what_is_shown() -> None:
    plain = [done(number, "a", 10.0, regions=6) for number in range(1, 4)]
    prefilled = [done(number, "a", 10.0, regions=15, task=number) for number in range(11, 16)]
    paces = throughput_of([*plain, *prefilled], dict.fromkeys(range(11, 16), 10))
    assert (paces.masks_of(None), paces.masks_of(20)) == (6.0, 30.0)
    few = throughput_of([*plain, *prefilled[:4]], dict.fromkeys(range(11, 15), 10))
    assert few.masks_of(20) == 20.0
