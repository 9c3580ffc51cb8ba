"""Interleaving and its statistics."""

import json
from pathlib import Path

import pytest

from benchmarks.speed.plan import REFERENCES, Case, Contestant
from benchmarks.speed.results import Finding, goal_of, table, write_json
from benchmarks.speed.rounds import Samples, interleave, ratio, ratio_range

OURS = Contestant("ours", dtype="bfloat16")
KEYS = {
    *("path", "model", "device", "dtype", "ratio_default", "ratio_tuned"),
    *("equal", "reference_s", "ours_s"),
}


def test_every_second_round_runs_backwards() -> None:
    order = []

    def time_one(one: Contestant, number: int) -> float:
        order.append((one, number))
        return 1.0 + number

    default, tuned = REFERENCES
    samples = interleave([*REFERENCES, OURS], 3, time_one)
    forwards, backwards = [default, tuned, OURS], [OURS, tuned, default]
    assert [one for one, _ in order] == forwards + backwards + forwards
    assert samples[OURS] == Samples((1.0, 2.0, 3.0))


def test_one_slow_round_moves_no_ratio() -> None:
    default, tuned = REFERENCES
    samples = {
        default: Samples((4.0, 4.0, 90.0)),
        tuned: Samples((3.0, 3.0, 3.0)),
        OURS: Samples((0.5, 0.5, 7.0)),
    }
    assert ratio(samples, default, OURS) == 8.0
    assert ratio(samples, tuned, OURS) == 6.0
    assert samples[OURS].spread == 14.0
    assert ratio_range(samples, default, OURS) == (8.0, 90.0 / 7.0)


@pytest.mark.parametrize("seconds", [(), (1.0, 0.0)])
def test_samples_are_times(seconds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="positive seconds"):
        Samples(seconds)


def test_the_rows_of_a_finding(tmp_path: Path) -> None:
    default, tuned = REFERENCES
    samples = {default: Samples((9.0,)), tuned: Samples((7.5,)), OURS: Samples((1.0,))}
    case = Case("amg", "vit_b")
    finding = Finding(case, OURS, samples, False, ("a fault",), {}, first_call_s=2.0)
    row = finding.row("cpu-some")
    assert goal_of(row) == (9, 7)
    assert "9 / 7 reached" in table([row])
    assert "**no**" in table([row])
    write_json([row], tmp_path / "new" / "some.json")
    [told] = json.loads((tmp_path / "new" / "some.json").read_text())
    assert told.keys() == KEYS
    assert (told["ratio_default"], told["ratio_tuned"], told["equal"]) == (9.0, 7.5, False)
    assert (told["dtype"], told["reference_s"], told["ours_s"]) == ("bfloat16", 9.0, 1.0)
