"""Lots that were judged, in their order."""

from datetime import UTC, datetime, timedelta

from sam_backend.store.database import Database
from sam_backend.store.lots import Lots

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_verdicts_in_the_order_of_the_first_judgement(database: Database) -> None:
    for minutes, run, verdict in (
        (0, "one", "reject"),
        (1, "two", "accept"),
        (2, "one", "accept"),
        (3, "three", "reject"),
    ):
        at = NOON + timedelta(minutes=minutes)
        Lots(database, lambda at=at: at).judged(run, verdict, "normal")
    lots = Lots(database)
    assert lots.verdicts(without="") == ["accept", "accept", "reject"]
    assert lots.verdicts(without="two") == ["accept", "reject"]
