"""An event is new once, however often and wherever it arrives."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest

from sam_backend.settings import Settings
from sam_backend.store.database import Database, open_database
from sam_backend.store.events import Events

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def events(database: Database) -> Iterator[Events]:
    return Events(database)


def test_an_event_is_new_once(events: Events, settings: Settings) -> None:
    assert events.record("a", "ANNOTATION_CREATED", 1, NOON)
    assert not events.record("a", "ANNOTATION_CREATED", 1, NOON)
    assert not events.record("a", "START_TRAINING", None, NOON + timedelta(days=1))
    assert events.record("b", "START_TRAINING", None, NOON)
    after_restart = open_database(settings)
    assert not Events(after_restart).record("a", "ANNOTATION_CREATED", 1, NOON)
    after_restart.close()


def test_of_many_at_once_one_is_new(events: Events) -> None:
    with ThreadPoolExecutor(8) as pool:
        new = list(pool.map(lambda n: events.record(str(n % 5), "X", 1, NOON), range(40)))
    assert sum(new) == 5


def test_old_events_are_forgotten(events: Events) -> None:
    eastern = NOON.astimezone(timezone(timedelta(hours=9)))
    for hours in range(4):
        events.record(f"h{hours}", "X", 1, eastern + timedelta(hours=hours))
    assert events.prune(NOON + timedelta(hours=2)) == 2
    assert events.prune(NOON + timedelta(hours=2)) == 0
    assert [events.record(f"h{hours}", "X", 1, NOON) for hours in range(4)] == [
        True,
        True,
        False,
        False,
    ]


def test_a_moment_needs_a_time_zone(events: Events) -> None:
    with pytest.raises(Exception, match="no time zone"):
        events.record("a", "X", 1, NOON.replace(tzinfo=None))
