"""The gate's comparisons as rows for people: `train` and `models diff` show them alike."""

from collections.abc import Mapping, Sequence
from typing import Any


def gate_rows(
    comparisons: Sequence[Mapping[str, Any]], champion: str, challenger: str
) -> list[tuple[str, ...]]:
    """A head and a row for each figure.

    Args:
        comparisons: As `GateDecision.as_json` has them.
        champion: Version of the one that was served.
        challenger: Version of the one that wanted to be.
    """
    rows: list[tuple[str, ...]] = [("FIGURE", champion, challenger, "DIFFERENCE", "")]
    for one in comparisons:
        n, change = one["digits"], one["difference"]
        interval = f"{change['value']:+.{n}f} ({change['low']:+.{n}f} to {change['high']:+.{n}f})"
        figures = (f"{one['champion']:.{n}f}", f"{one['challenger']:.{n}f}")
        rows.append((one["figure"], *figures, interval, one["verdict"]))
    return rows
