"""Rows in columns, as the commands show them: plain text that scripts can cut too."""

from collections.abc import Mapping, Sequence

import typer


def echo_table(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows of the same length, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


def echo_figures(figures: Mapping[str, object]) -> None:
    """Prints figures by name, those of an inner table by both names; unknown ones are left out."""
    rows = [("WHAT", "HOW MUCH")]
    for name, value in figures.items():
        if isinstance(value, Mapping):
            rows += [(f"{name}: {key}", shown(one)) for key, one in value.items()]
        elif value is not None:
            rows.append((name, shown(value)))
    echo_table(rows)


def shown(value: object) -> str:
    """A figure as a cell; None: none."""
    if value is None:
        return "none"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
