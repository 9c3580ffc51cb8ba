"""Whole numbers in JSON: other tools write ids, sizes and counts as `400.0`."""

from typing import Any

_MOST = 2**53  # from here on a float no longer tells neighbours apart


def whole_number(value: Any) -> int | None:
    """The integer that a JSON number means; None for a fraction, a truth value and all else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return value
    return int(value) if value.is_integer() and abs(value) < _MOST else None
