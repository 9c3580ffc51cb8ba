"""Tables fit 100 columns, whatever is in them, and lose nothing."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from sam_backend.cli.gate_table import gate_rows
from sam_backend.cli.tables import MAX_WIDTH, echo_table
from sam_backend.metrics.gate import Comparison
from sam_backend.metrics.intervals import Interval
from tests.e2e.commands import inside

CELLS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Mn", "Zl", "Zp"]), max_size=90)


@given(st.integers(1, 9).flatmap(lambda n: st.lists(st.tuples(*[CELLS] * n), min_size=1)))
def test_any_table_fits_and_loses_nothing(rows: list[tuple[str, ...]]) -> None:
    printed = io_of(rows)
    assert max(map(cell_len, printed.splitlines()), default=0) <= MAX_WIDTH
    told, shown = ("".join(sorted("".join(text.split()))) for text in (flat(rows), printed))
    assert told == shown


def io_of(rows: list[tuple[str, ...]]) -> str:
    import io
    from contextlib import redirect_stdout

    with redirect_stdout(io.StringIO()) as out:
        echo_table(rows)
    return out.getvalue()


def flat(rows: list[tuple[str, ...]]) -> str:
    return " ".join(" ".join(row) for row in rows)


def test_words_are_broken_only_where_they_do_not_fit() -> None:
    rows = [("VERSION", "WHY"), ("starter-2-synthetic-r10", " ".join(["word"] * 60))]
    lines = io_of(rows).splitlines()
    assert lines[1].startswith("starter-2-synthetic-r10  word word")
    assert len(lines) > 3
    assert all(line.startswith(" " * 25 + "word") for line in lines[2:])
    assert io_of([("A", "B"), ("1", "2")]) == "A  B\n1  2\n"


COMPARISON = Comparison("boundary IoU after 3 clicks", 0.1, 0.2, Interval(-0.1, -0.2, 0.1), "worse")


def test_the_gate_s_table() -> None:
    rows = gate_rows([COMPARISON], "starter-2-synthetic-r1", "starter-2-synthetic-r12")
    assert max(map(len, io_of(rows).splitlines())) <= MAX_WIDTH


@pytest.mark.parametrize(
    "line",
    [
        "models list",
        "models diff starter-3 starter-3",
        "stage policy",
        "jobs list",
        "gold list",
        "gold history",
    ],
)
def test_tables_of_commands_fit_when_they_are_piped(tmp_path: Path, line: str) -> None:
    printed = inside(tmp_path, *line.split())
    assert all(len(one) <= MAX_WIDTH for one in printed.splitlines())
    json.loads(inside(tmp_path, *line.split(), "--json"))


def test_no_module_prints_a_table_of_its_own() -> None:
    commands = Path(__file__).parents[2] / "sam_backend" / "cli"
    for module in commands.glob("*.py"):
        if module.name != "tables.py":
            assert ".ljust(" not in module.read_text(), module
