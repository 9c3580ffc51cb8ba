"""Gates, and the table of stages."""

from itertools import pairwise

import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.projects.prefill_settings import PrefillSettings
from sam_backend.stages.gates import SOURCES, Figure, Gate, Reading
from sam_backend.stages.policy import STAGES, policies


@pytest.mark.parametrize(
    ("gate", "reading", "passes", "missing"),
    [
        (Gate(Figure.PEOPLE_IOU, 0.8), Reading(0.9, 0.81, 0.95, 9), True, ""),
        (
            Gate(Figure.PEOPLE_IOU, 0.8),
            Reading(0.9, 0.79, 0.95, 9),
            False,
            "the lower bound is 0.79, at least 0.8 is asked",
        ),
        (Gate(Figure.KEPT, 0.2, is_least=False), Reading(0.1, 0.05, 0.2, 9), True, ""),
        (
            Gate(Figure.KEPT, 0.2, is_least=False),
            Reading(0.1, 0.05, 0.21, 9),
            False,
            "the upper bound is 0.21, at most 0.2 is asked",
        ),
        (
            Gate(Figure.RETRAININGS, 1),
            Reading.counted(0, 1),
            False,
            "0, at least 1 is asked",
        ),
        (
            Gate(Figure.KEPT, 0.5, min_n=20),
            Reading(0.9, 0.8, 1.0, 19),
            False,
            "rests on 19, and 20 are asked",
        ),
        (Gate(Figure.KEPT, 0.5), None, False, f"not known yet: {SOURCES[Figure.KEPT]}"),
    ],
)
def test_a_gate_opens_only_where_the_whole_interval_is_on_its_side(
    gate: Gate, reading: Reading | None, passes: bool, missing: str
) -> None:
    checked = gate.check(reading)
    assert (checked.passes, checked.missing) == (passes, missing)


def test_the_table_is_one_that_does_not_swing() -> None:
    assert [one.stage for one in STAGES] == ["1", "2", "3"]
    assert [one.aim for one in STAGES] == ["accuracy", "coverage", "scale"]
    assert not STAGES[0].down
    assert not STAGES[-1].up
    for lower, upper in pairwise(STAGES):
        bars = {gate.figure: gate.bar for gate in lower.up}
        for gate in upper.down:
            if gate.figure in bars and not gate.is_least:
                assert gate.bar < bars[gate.figure], "what was just good enough is not too bad"
    assert SOURCES.keys() == set(Figure)
    for one in STAGES[1:]:
        told = PrefillSettings(**dict(one.prefill or {}))
        assert told.accept_predicted_iou == one.accept_predicted_iou
        assert told.accept_stability == one.accept_stability


def test_a_team_sets_otherwise_what_it_may() -> None:
    told = policies(
        {
            "1": {"retrain_every": 50, "up": {"people's IoU on gold": 0.6}},
            "2": {"up": {"calibration error": None}, "prefill": {"nesting": "parts"}},
        }
    )
    assert told["1"].retrain_every == 50
    assert [gate.bar for gate in told["1"].up] == [0.75, 0.6, 1, 0.15]
    assert Figure.CALIBRATION_ERROR not in {gate.figure for gate in told["2"].up}
    assert told["2"].prefill == {"nesting": "parts"}
    bars = policies({"2": {"grid": 16, "accept_stability": 0.8}})["2"]
    assert (bars.grid, bars.accept_stability) == (16, 0.8)
    assert bars.prefill == {"parameters": {"points_per_side": 16}, "accept_stability": 0.8}
    assert told["3"] == STAGES[2]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"4": {}}, "the stages are 1, 2, 3, not '4'"),
        ({"1": {"aim": "fun"}}, "a stage has no setting 'aim'"),
        ({"1": {"paper_seconds_a_mask": 3}}, "no setting 'paper_seconds_a_mask'"),
        ({"1": {"retrain_every": "often"}}, "retrain_every is a whole number .* not 'often'"),
        ({"1": {"retrain_every": 0}}, "retrain_every is a whole number from 1 .* not 0"),
        ({"1": {"retrain_every": 2.5}}, "retrain_every is a whole number .* not 2.5"),
        ({"1": {"gold_per_hundred": -1}}, "gold_per_hundred is a number from 0.1 to 100, not -1"),
        ({"1": {"seconds_a_mask": float("nan")}}, "seconds_a_mask is a number .* not nan"),
        ({"1": {"grid": 16}}, "stage 1 has no prefilling: 'grid'"),
        ({"2": {"accept_stability": 0.8, "prefill": {"review_stability": 0.9}}}, "not be above"),
        ({"2": {"prefill": {"luck": 1}}}, "prefill has no setting 'luck'"),
        ({"1": {"up": {"luck": 1}}}, "no gate here looks at 'luck'"),
        ({"1": {"up": {"retrainings promoted": True}}}, "a number or null, not True"),
        ({"1": {"up": 3}}, "gates are an object of figures and bars, not 3"),
        ({"2": {"prefill": 3}}, "prefill is an object or null, not 3"),
    ],
)
def test_wrong_settings_of_stages_are_named(told: dict, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        policies(told)
