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

from sam_backend.json_form import as_json, words

MAX_WIDTH = 100
_GAP = 2
_INTERVAL = {"value", "low", "high"}


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


def echo_figures(figures: object, *left_out: str) -> None:
    """Print the figures of a dataclass or mapping, those of an inner one by both names.

    Unknown figures are left out.

    Args:
        figures: A dataclass or mapping of figures by name.
        left_out: Names of figures that are not printed.
    """
    rows = [("WHAT", "HOW MUCH")]
    for name, value in as_json(figures).items():
        if name in left_out or value is None:
            continue
        if isinstance(value, Mapping) and not value.keys() >= _INTERVAL:
            rows += [(f"{words(name)}: {words(key)}", shown(one)) for key, one in value.items()]
        else:
            rows.append((words(name), shown(value)))
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
    """Return a figure, as JSON has it, as a cell; None: "none"."""
    if value is None:
        return "none"
    if isinstance(value, Mapping) and value.keys() >= _INTERVAL:
        return f"{value['value']:.3g} ({value['low']:.3g} to {value['high']:.3g})"
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
