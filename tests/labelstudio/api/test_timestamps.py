"""Moments as Label Studio writes them."""

from datetime import UTC, datetime

import pytest

from sam_backend.labelstudio.api.timestamps import moment

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("2026-01-02T12:00:00Z", NOON),
        ("2026-01-02T14:00:00+02:00", NOON),
        ("2026-01-02T12:00:00", NOON),
        ("9999-12-31T23:59:59-14:00", None),
        ("soon", None),
        (None, None),
        (7, None),
    ],
)
def test_a_moment_is_in_utc_or_none(told: object, found: datetime | None) -> None:
    assert moment(told) == found
