"""Moments as Label Studio writes them."""

from datetime import UTC, datetime


def moment(told: object) -> datetime | None:
    """In UTC; None for what is no moment. One without a time zone is in UTC."""
    try:
        found = datetime.fromisoformat(str(told))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
