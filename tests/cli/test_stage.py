"""`sam-backend stage policy`: the table, and what a team sets otherwise."""

import json
from pathlib import Path

import pytest

from sam_backend.cli.stage import _row
from sam_backend.stages.gates import Figure, Gate, Reading
from tests.e2e.commands import command_inside, inside


def test_the_table_is_shown_with_what_a_team_has_set(tmp_path: Path) -> None:
    shown = inside(tmp_path, "stage", "policy")
    lines = {line.partition("  ")[0]: line for line in shown.splitlines()}
    assert lines["aim"].split()[1:] == ["accuracy", "coverage", "scale"]
    assert lines["paper seconds a mask"].split()[4:] == ["34", "to", "14", "-", "-"]
    assert "stage 3 down: lots rejected in a row, at least 2 is asked" in shown
    stages = {"3": {"seconds_a_mask": 3.5, "down": {"lots rejected in a row": 1}}}
    own = {"SAM_BACKEND_STAGES": json.dumps(stages)}
    told = json.loads(inside(tmp_path, "stage", "policy", "--json", settings=own))
    assert [told[stage]["seconds_a_mask"] for stage in "123"] == [14, 10, 3.5]
    assert told["3"]["down"][0]["bar"] == 1


def test_a_wrong_table_is_named(tmp_path: Path) -> None:
    own = {"SAM_BACKEND_STAGES": '{"9": {}}'}
    ended = command_inside(tmp_path, "stage", "policy", settings=own)
    assert ended.returncode == 2
    assert "the stages are 1, 2, 3, not '9'" in ended.stderr


@pytest.mark.parametrize(
    ("reading", "now"),
    [
        (Reading(0.0, -4.4e-15, 4.4e-15, 78), "0 (n 78)"),
        (Reading(0.7987, 0.76, 0.8354, 78), "0.799 (0.76 to 0.835, n 78)"),
        (Reading(0.02, 0.02, 0.02, 3), "0.02 (n 3)"),
    ],
)
def test_a_figure_that_is_rounding_alone_is_zero(reading: Reading, now: str) -> None:
    gate = Gate(next(iter(Figure)), 0.5)
    assert _row("up", gate.check(reading))[2] == now
