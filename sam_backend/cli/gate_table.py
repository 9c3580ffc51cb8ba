"""The gate's comparisons as rows for people: `train` and `models diff` show them alike."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sam_backend.metrics.gate import Comparison


def gate_rows(
    comparisons: "Sequence[Comparison]", champion: str, challenger: str
) -> list[tuple[str, ...]]:
    """A head and a row for each figure.

    Args:
        comparisons: The figures of both.
        champion: Version of the one that was served.
        challenger: Version of the one that wanted to be.
    """
    rows: list[tuple[str, ...]] = [("FIGURE", champion, challenger, "DIFFERENCE", "")]
    for one in comparisons:
        n, change = one.digits, one.difference
        interval = f"{change.value:+.{n}f} ({change.low:+.{n}f} to {change.high:+.{n}f})"
        figures = (f"{one.champion:.{n}f}", f"{one.challenger:.{n}f}")
        rows.append((one.figure, *figures, interval, one.verdict))
    return rows
