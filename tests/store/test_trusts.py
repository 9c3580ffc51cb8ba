"""What is known of a model version: the newest counts."""

from datetime import UTC, datetime

from sam_backend.store.database import Database
from sam_backend.store.trusts import Trusts

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_the_newest_counts_for_its_version_only(database: Database) -> None:
    trusts = Trusts(database)
    assert trusts.newest("a+1") is None
    for version, accept in (("a+1", 0.9), ("b+1", None), ("a+1", 0.8)):
        trusts.put(version, {"accept": accept}, NOON)
    assert trusts.newest("a+1") == {"accept": 0.8}
    assert trusts.newest("b+1") == {"accept": None}
    assert trusts.newest("a+2") is None
    assert trusts.versions() == ["a+1", "b+1"]
