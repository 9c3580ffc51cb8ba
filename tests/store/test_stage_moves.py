"""Moves between stages and measurements: kept in order, never changed."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from sam_backend.errors import DatabaseError, InvalidInputError
from sam_backend.store.database import Database
from sam_backend.store.measurements import Measurements
from sam_backend.store.revisions import Revisions
from sam_backend.store.stage_moves import StageMove, StageMoves

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOST = "http://label.example"


def step(place: int, stage: str) -> StageMove:
    at = NOON + timedelta(hours=place)
    return StageMove(place, stage, "anna", "it is time", {"f": {"value": 1.0}}, at)


def test_moves_are_kept_in_order_and_are_revisions(database: Database) -> None:
    moves = StageMoves(database, HOST, 3)
    assert moves.current() is None
    told = [step(1, "1"), step(2, "2"), step(3, "1")]
    for one in told:
        moves.add(one)
    assert moves.history() == told
    assert moves.current() == told[-1]
    assert StageMoves(database, HOST, 4).history() == []
    log = Revisions(database, HOST, 3).history()
    assert [one.change for one in log] == ["STAGE 1", "STAGE 2", "STAGE 1"]
    assert [one.stamp for one in reversed(log)] == [one.at for one in told]


def test_of_two_that_move_at_once_one_is_told(database: Database) -> None:
    moves = StageMoves(database, HOST, 3)
    moves.add(step(1, "1"))
    moves.add(step(2, "2"))
    with pytest.raises(InvalidInputError, match="project 3 was moved by somebody else"):
        moves.add(step(2, "1"))
    assert moves.current() == step(2, "2")


def test_the_newest_measurement_counts_and_none_is_lost(database: Database) -> None:
    measurements = Measurements(database, HOST, 3)
    assert measurements.newest("gold") is None
    for n in range(3):
        measurements.add("gold", {"n": n}, NOON + timedelta(minutes=n))
    measurements.add("lot", {"n": 9}, NOON)
    Measurements(database, HOST, 4).add("lot", {"n": 10}, NOON)
    Measurements(database, "http://other.example", 3).add("lot", {"n": 11}, NOON)
    newest = measurements.newest("gold")
    assert newest is not None
    assert newest.document == {"n": 2}
    assert [one.document["n"] for one in measurements.history("gold")] == [2, 1, 0]
    assert [one.document["n"] for one in measurements.history("gold", 2)] == [2, 1]
    assert [one.document["n"] for one in measurements.of_all_projects("lot")] == [10, 9]


@pytest.mark.parametrize("table", ["stage_moves", "measurements"])
@pytest.mark.parametrize("change", ["UPDATE {} SET project = 9", "DELETE FROM {}"])
def test_the_database_itself_refuses_changes(database: Database, table: str, change: str) -> None:
    StageMoves(database, HOST, 3).add(step(1, "1"))
    Measurements(database, HOST, 3).add("gold", {}, NOON)
    with (
        pytest.raises(DatabaseError, match=f"{table} is append-only"),
        database.writing() as connection,
    ):
        connection.execute(text(change.format(table)))
