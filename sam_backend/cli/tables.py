"""Rows in columns, as the commands show them: plain text that scripts can cut too."""

from collections.abc import Sequence

import typer


def echo_table(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows of the same length, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())
