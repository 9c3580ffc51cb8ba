"""What is known of a model version: the newest counts."""

from datetime import UTC, datetime

from sam_backend.store.calibrations import Calibrations
from sam_backend.store.database import Database

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_the_newest_counts_for_its_version_only(database: Database) -> None:
    calibrations = Calibrations(database)
    assert calibrations.newest("a+1") is None
    for version, accept in (("a+1", 0.9), ("b+1", None), ("a+1", 0.8)):
        calibrations.put(version, {"accept": accept}, NOON)
    assert calibrations.newest("a+1") == {"accept": 0.8}
    assert calibrations.newest("b+1") == {"accept": None}
    assert calibrations.newest("a+2") is None
    assert calibrations.versions() == ["a+1", "b+1"]
