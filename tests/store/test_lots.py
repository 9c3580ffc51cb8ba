"""Lots that were judged: in their order, with all that was seen of them, and without a way back."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from sam_backend.errors import DatabaseError, InvalidInputError
from sam_backend.metrics.acceptance import Verdict
from sam_backend.settings import Settings
from sam_backend.store.database import Database, open_database
from sam_backend.store.lots import (
    ACCEPTED,
    LOOKED,
    QUARANTINED,
    REJECTED,
    REOPENED,
    SAMPLED,
    UNDECIDED,
    Lots,
)

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_verdicts_are_those_of_the_plan() -> None:
    assert [*Verdict] == [ACCEPTED, REJECTED, UNDECIDED]


def test_verdicts_in_the_order_of_the_first_judgement(database: Database) -> None:
    for minutes, run, verdict in (
        (0, "one", ACCEPTED),
        (1, "none", UNDECIDED),
        (2, "two", ACCEPTED),
        (3, "one", REJECTED),
        (4, "three", REJECTED),
        (5, "none", ACCEPTED),
    ):
        at = NOON + timedelta(minutes=minutes)
        Lots(database, lambda at=at: at).looked(run, verdict, "normal", {})
    lots = Lots(database)
    assert lots.verdicts(without="") == [REJECTED, ACCEPTED, REJECTED, ACCEPTED]
    assert lots.verdicts(without="two") == [REJECTED, REJECTED, ACCEPTED]
    assert lots.verdict("two") == ACCEPTED
    assert lots.verdict("never judged") is None


def test_records_of_earlier_releases_have_the_names_of_this_one(database: Database) -> None:
    lots, now = Lots(database, lambda: NOON), {"images_that_decide": 30, "design": {"seed": 0}}
    lots.sampled("run", {"images that decide": 30, "design": {"seed": 0}})
    assert lots.sample("run") == now
    lots.sampled("run", now)
    assert len(lots.history("run")) == 1


def test_a_rejected_lot_stays_rejected_until_it_is_reopened(database: Database) -> None:
    lots = Lots(database, lambda: NOON)
    told = [lots.looked("run", one, "normal", {"n": n}) for n, one in enumerate(Verdict)]
    assert told == [ACCEPTED, REJECTED, REJECTED]
    assert lots.looked("run", ACCEPTED, "normal", {"n": 3}) == REJECTED
    assert lots.verdict("run") == REJECTED
    with pytest.raises(InvalidInputError, match="reopened for a reason"):
        lots.reopen("run", " ")
    lots.reopen("run", "reviewers had not been told of wires")
    assert lots.verdict("run") == UNDECIDED
    assert lots.looked("run", ACCEPTED, "normal", {"n": 4}) == ACCEPTED
    history = lots.history("run")
    assert [one.kind for one in history] == [LOOKED] * 4 + [REOPENED, LOOKED]
    assert [one.document.get("look") for one in history] == [
        ACCEPTED, REJECTED, UNDECIDED, ACCEPTED, None, ACCEPTED,
    ]  # fmt: skip
    assert history[4].document == {"reason": "reviewers had not been told of wires"}
    assert {one.at for one in history} == {NOON}


def test_an_accepted_lot_follows_what_is_seen_later(database: Database) -> None:
    lots = Lots(database)
    assert lots.looked("run", ACCEPTED, "normal", {}) == ACCEPTED
    assert lots.looked("run", UNDECIDED, "normal", {}) == UNDECIDED
    assert lots.verdict("run") == UNDECIDED


def test_the_sample_that_counts_is_the_last_one_of_this_opening(database: Database) -> None:
    lots = Lots(database)
    assert lots.sample("run") is None
    for _ in range(2):
        lots.sampled("run", {"sample": "small"})
    lots.sampled("run", {"sample": "large"})
    lots.quarantined("run", {"project": 3})
    assert lots.sample("run") == {"sample": "large"}
    lots.reopen("run", "the project is gone")
    assert lots.sample("run") is None
    assert [one.kind for one in lots.history("run")] == [SAMPLED, SAMPLED, QUARANTINED, REOPENED]


@pytest.mark.parametrize("change", ["UPDATE lot_records SET run = 'x'", "DELETE FROM lot_records"])
def test_the_database_itself_refuses_changes(database: Database, change: str) -> None:
    refuses(database, change)


def test_sqlites_replace_is_refused_too(tmp_path: Path) -> None:
    refuses(
        open_database(Settings(data_dir=tmp_path)),
        "INSERT OR REPLACE INTO lot_records SELECT id, 'x', kind, document, at FROM lot_records",
    )


def refuses(database: Database, change: str) -> None:
    Lots(database).looked("run", REJECTED, "normal", {})
    with (
        pytest.raises(DatabaseError, match="lot_records is append-only"),
        database.writing() as connection,
    ):
        connection.execute(text(change))
