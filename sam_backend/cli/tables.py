"""Rows in columns, as the commands show them to people; scripts take `--json`."""

import io
import shutil
import sys
from collections.abc import Mapping, Sequence

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

MAX_WIDTH = 100
_GAP = 2


def echo_table(rows: Sequence[Sequence[str]], empty: str = "") -> None:
    """Print rows of the same length in columns, at most 100 characters wide.

    Cells that are too long go on in the next line of their column, and nothing is cut off.

    Args:
        rows: The head first.
        empty: A sentence on stderr where there is a head only.
    """
    if empty and len(rows) < 2:
        typer.echo(empty, err=True)
        return
    most = MAX_WIDTH
    if sys.stdout.isatty():
        most = min(most, shutil.get_terminal_size().columns)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, _GAP, 0, 0))
    for width in _widths(rows, most):
        table.add_column(width=width, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    text = io.StringIO()
    Console(file=text, width=most, color_system=None, legacy_windows=False).print(table)
    for line in text.getvalue().splitlines():
        typer.echo(line.rstrip())


def _widths(rows: Sequence[Sequence[str]], most: int) -> list[int]:
    """Return the width of each column: words are broken only where they do not fit otherwise."""
    columns = list(zip(*rows, strict=True))
    widths = [max(1, *(cell_len(cell) for cell in column)) for column in columns]
    words = [
        max((cell_len(word) for cell in column for word in cell.split()), default=1)
        for column in columns
    ]
    room = most - _GAP * (len(columns) - 1)
    for least in (words, [1] * len(columns)):
        while sum(widths) > room:
            able = [number for number, width in enumerate(widths) if width > least[number]]
            if not able:
                break
            widths[max(able, key=widths.__getitem__)] -= 1
    return widths


def echo_figures(figures: Mapping[str, object]) -> None:
    """Print figures by name, those of an inner table by both names; unknown ones are left out."""
    rows = [("WHAT", "HOW MUCH")]
    for name, value in figures.items():
        if isinstance(value, Mapping):
            rows += [(f"{name}: {key}", shown(one)) for key, one in value.items()]
        elif value is not None:
            rows.append((name, shown(value)))
    echo_table(rows)


def echo_left_out(left_out: Mapping[str, int], verb: str = "left out") -> None:
    """Prints what a command has not used, to stderr: how many, why and which, a line a reason.

    Args:
        left_out: Counts by reason; a `LeftOut` knows names too.
        verb: What became of it.
    """
    from sam_backend.datasets.left_out import LeftOut

    for line in LeftOut(left_out).lines():
        typer.echo(f"{verb}: {line}", err=True)


def shown(value: object) -> str:
    """Return a figure as a cell; None: none."""
    if value is None:
        return "none"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
