"""Gates, the table of stages, and moves between them."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from sam_backend.engine.measured import DRIFT, EDITS, GOLD, IMPORT, LOT
from sam_backend.engine.semi_automatic.settings import PrefillSettings
from sam_backend.engine.stages.evidence import Evidence, gather
from sam_backend.engine.stages.gates import SOURCES, Figure, Gate, Reading
from sam_backend.engine.stages.labelling import (
    Labelled,
    course,
    labelled_of,
    masks_gain,
    pace_gain,
    points,
    seconds_a_mask,
    visits,
)
from sam_backend.engine.stages.moving import (
    AUTOMATIC,
    advance,
    begin,
    move_by_gates,
    retreat,
    standing,
)
from sam_backend.engine.stages.policy import STAGES, policies
from sam_backend.engine.stages.steering import (
    gold_rate,
    policy_of,
    prefills,
    retraining_cadence,
    staged_params,
)
from sam_backend.errors import InvalidInputError, SamBackendError
from sam_backend.settings import Settings
from sam_backend.store.database import Database
from sam_backend.store.measurements import Measurements
from sam_backend.store.revisions import SAVED, Revisions, Sighting, Subject
from sam_backend.store.stage_moves import StageMove, StageMoves
from tests.databases import database, settings
from tests.engine.working_project import HOST, PROJECT, falling, label, move

__all__ = ["database", "settings"]

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
GOOD = {"value": 0.9, "low": 0.85, "high": 0.95}
BAD = {"value": 0.55, "low": 0.5, "high": 0.6}


def evidence_of(database: Database) -> Evidence:
    return gather(database, HOST, PROJECT, None, "starter-2+1")


def people_on_gold(database: Database, iou: object, at: datetime = NOON) -> None:
    people = {"matched IoU": iou, "images": 6}
    Measurements(database, HOST, PROJECT).add(GOLD, {"people": people, "answers": []}, at)


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
        ({"2": {"prefill": {"luck": 1}}}, "prefill has no luck"),
        ({"1": {"up": {"luck": 1}}}, "no gate here looks at 'luck'"),
        ({"1": {"up": {"retrainings promoted": True}}}, "a number or null, not True"),
        ({"1": {"up": 3}}, "gates are an object of figures and bars, not 3"),
        ({"2": {"prefill": 3}}, "prefill is an object or null, not 3"),
    ],
)
def test_wrong_settings_of_stages_are_named(told: dict, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        policies(told)


def test_speed_is_told_by_stage_at_its_begin_and_its_end(database: Database) -> None:
    then = label(database, NOON, falling(30, 34, 14), masks=20)
    move(database, 1, "2", then - timedelta(minutes=5))
    label(database, then, [8.0] * 30, masks=50, first=31)
    labelled = labelled_of(Revisions(database, HOST, PROJECT).newest())
    assert len(labelled) == 60
    before, after = visits(labelled, StageMoves(database, HOST, PROJECT).history())
    assert (before.stage, after.stage) == ("none", "2")
    first, second = course(before), course(after)
    assert first["annotations"] == first["images"] == 30
    assert first["masks"] == 600
    assert first["people"] == 2
    begun, ended = (
        first["seconds a mask"]["begin"]["value"],
        first["seconds a mask"]["end"]["value"],
    )
    assert begun == pytest.approx(sum(falling(30, 34, 14)[:10]) / 10)
    assert ended == pytest.approx(sum(falling(30, 34, 14)[-10:]) / 10)
    assert second["seconds a mask"]["all"]["value"] == pytest.approx(8)
    assert second["masks an image"]["all"]["value"] == 50
    assert [one["annotations"] for one in points(after.labelled, 4)] == [8, 8, 7, 7]
    assert points([]) == []
    gain = pace_gain(before.labelled)
    assert gain is not None
    assert 0.2 < gain.value < 0.3
    assert gain.low < gain.value < gain.high
    flat = Reading.counted(pytest.approx(0), 30)
    assert pace_gain(after.labelled) == flat
    assert masks_gain(after.labelled) == flat
    assert seconds_a_mask([]) is None
    assert pace_gain(after.labelled[:2]) is None


def test_a_project_goes_on_and_back_as_its_gates_say(database: Database) -> None:
    told = policies(
        {"1": {"up": {"model's IoU after 3 clicks": None, "retrainings promoted": None}}}
    )
    moves = StageMoves(database, HOST, PROJECT)
    now = standing(evidence_of(database), told)
    assert now.move is None
    assert move_by_gates(moves, now, told, NOON) is None, "nobody has asked for stages"
    with pytest.raises(InvalidInputError, match="in no stage yet"):
        advance(moves, now, told, "anna", NOON)
    begin(moves, now, "anna", NOON)
    with pytest.raises(InvalidInputError, match="in stage 1 already"):
        begin(moves, standing(evidence_of(database), told), "anna", NOON)

    label(database, NOON + timedelta(minutes=1), [10.0] * 29)
    now = standing(evidence_of(database), told)
    assert not now.may_advance
    reason = "people's IoU on gold: not known yet: .*; fall of seconds a mask: rests on 29"
    with pytest.raises(SamBackendError, match=reason):
        advance(moves, now, told, "anna", NOON)
    people_on_gold(database, GOOD)
    label(database, NOON + timedelta(hours=9), [10.0], first=30)
    now = standing(evidence_of(database), told)
    assert now.may_advance
    later = NOON + timedelta(days=1)
    made = move_by_gates(moves, now, told, later)
    assert made is not None
    assert (made.stage, made.by) == ("2", AUTOMATIC)
    assert "people's IoU on gold 0.9, at least 0.8 is asked" in made.reason
    assert made.readings["people's IoU on gold"] == {**GOOD, "n": 6}

    people_on_gold(database, BAD)
    now = standing(evidence_of(database), told)
    assert now.must_retreat
    assert move_by_gates(moves, now, told, later) is None, "nothing was labelled in stage 2 yet"
    label(database, later, [8.0] * 30, first=31)
    made = move_by_gates(moves, standing(evidence_of(database), told), told, later)
    assert made is not None
    assert (made.stage, made.place) == ("1", 3)
    with pytest.raises(InvalidInputError, match="stage 1 is the first one"):
        retreat(moves, standing(evidence_of(database), told), told, "anna", later, "why not")
    assert [one.stage for one in moves.history()] == ["1", "2", "1"]


def test_somebody_who_knows_better_gives_a_reason(database: Database) -> None:
    told, moves = policies({}), StageMoves(database, HOST, PROJECT)
    begin(moves, standing(evidence_of(database), told), "anna", NOON)
    for stage in ("2", "3"):
        now = standing(evidence_of(database), told)
        made = advance(moves, now, told, "anna", NOON, "a trial")
        assert (made.stage, made.by, made.reason) == (stage, "anna", "a trial")
    now = standing(evidence_of(database), told)
    with pytest.raises(InvalidInputError, match="stage 3 is the last one"):
        advance(moves, now, told, "anna", NOON, "on and on")
    with pytest.raises(SamBackendError, match="nothing sends the project back to stage 2"):
        retreat(moves, now, told, "anna", NOON)
    assert retreat(moves, now, told, "anna", NOON, "it was one").stage == "2"
    with pytest.raises(InvalidInputError, match="was moved by somebody else meanwhile"):
        retreat(moves, now, told, "ben", NOON, "me too")


def test_every_figure_comes_from_where_it_was_measured(database: Database) -> None:
    assert evidence_of(database).readings() == {Figure.RETRAININGS: Reading.counted(0, 1)}
    measurements = Measurements(database, HOST, PROJECT)
    people_on_gold(database, "too few")
    assert Figure.PEOPLE_IOU not in evidence_of(database).readings()
    people_on_gold(database, GOOD)
    measurements.add(EDITS, {"kept share": GOOD, "annotations": 31}, NOON)
    measurements.add(DRIFT, {"model_version": "starter-2+1", "contradicted": True}, NOON)
    found = evidence_of(database).readings()
    assert found[Figure.PEOPLE_IOU] == Reading(0.9, 0.85, 0.95, 6)
    assert found[Figure.KEPT] == Reading(0.9, 0.85, 0.95, 31)
    assert Figure.CALIBRATION_DRIFT not in found, "of a calibration that is not there"


def test_lots_count_where_they_were_imported_or_reviewed(database: Database) -> None:
    here, elsewhere = (Measurements(database, HOST, number) for number in (PROJECT, 9))

    def judged(where: Measurements, run: str, verdict: str, project: int) -> None:
        where.add(LOT, {"run": run, "review project": project, "verdict": verdict}, NOON)

    judged(elsewhere, "a", "reject", 9)
    assert evidence_of(database).lots == []
    here.add(IMPORT, {"run": "a"}, NOON)
    judged(here, "b", "continue sampling", PROJECT)
    judged(here, "b", "reject", PROJECT)
    found = evidence_of(database)
    assert [lot.document["run"] for lot in found.lots] == ["b", "a"]
    assert found.readings()[Figure.REJECTED_LOTS] == Reading.counted(2, 2)
    judged(here, "c", "accept", PROJECT)
    assert evidence_of(database).readings()[Figure.REJECTED_LOTS] == Reading.counted(0, 3)


def test_the_stage_shapes_what_nobody_has_set(database: Database, settings: Settings) -> None:
    def now() -> object:
        return policy_of(settings, database, HOST, PROJECT)

    assert now() is None
    assert gold_rate(settings, None) == 5
    assert retraining_cadence(settings, None) is None
    assert prefills(settings, None, {})
    move(database, 1, "1", NOON)
    first = policy_of(settings, database, HOST, PROJECT)
    assert first == STAGES[0]
    assert gold_rate(settings, first) == 10
    assert retraining_cadence(settings, first) == 200
    assert not prefills(settings, first, {})
    assert prefills(settings, first, {"proposer": "grid"}), "the project asks for it"
    move(database, 2, "3", NOON)
    third = policy_of(settings, database, HOST, PROJECT)
    assert third == STAGES[2]
    assert staged_params(settings, third, {}) == {"triage": "proven"}
    own = Settings(
        data_dir=settings.data_dir,
        gold_per_hundred=7,
        retrain_every=9,
        prefill={"triage": "bars", "max_masks": 5},
    )
    assert gold_rate(own, third) == 7
    assert retraining_cadence(own, third) == 9
    params = staged_params(own, third, {"max_masks": 6})
    assert params == {"triage": "bars", "max_masks": 6}
    assert {"triage", "max_masks"} <= {one.name for one in fields(PrefillSettings)}


def test_a_moves_readings_stay_as_they_were(database: Database) -> None:
    moves = StageMoves(database, HOST, PROJECT)
    told = StageMove(1, "1", "anna", "begun", {"x": {"value": 0.5}}, NOON)
    moves.add(told)
    people_on_gold(database, GOOD)
    assert moves.current() == told


def test_rejected_lots_send_back_at_once_and_only_once(database: Database) -> None:
    told, moves = policies({}), StageMoves(database, HOST, PROJECT)
    for place, stage in enumerate("123", 1):
        move(database, place, stage, NOON)
    measurements = Measurements(database, HOST, PROJECT)

    def judged(run: str, verdict: str, minutes: int) -> None:
        document = {"run": run, "review project": PROJECT, "verdict": verdict}
        measurements.add(LOT, document, NOON + timedelta(minutes=minutes))

    judged("a", "reject", 1)
    judged("b", "reject", 2)
    judged("c", "continue sampling", 3)
    now = standing(evidence_of(database), told)
    assert now.readings[Figure.REJECTED_LOTS] == Reading.counted(2, 2), "c is not decided"
    made = move_by_gates(moves, now, told, NOON + timedelta(minutes=4))
    assert made is not None
    assert made.stage == "2"
    again = advance(
        moves,
        standing(evidence_of(database), told),
        told,
        "anna",
        NOON + timedelta(minutes=5),
        "mended",
    )
    assert again.stage == "3"
    now = standing(evidence_of(database), told)
    assert Figure.REJECTED_LOTS not in now.readings, "they were heeded"
    assert not now.must_retreat
    judged("a", "reject", 6)  # reported on again: it counts, but is no new one
    assert [lot.document["run"] for lot in evidence_of(database).lots] == ["c", "b", "a"]


def test_a_stage_that_is_visited_again_begins_anew(database: Database) -> None:
    move(database, 1, "1", NOON)
    then = label(database, NOON, [30.0] * 6)
    move(database, 2, "2", then)
    then = label(database, then, [9.0] * 6, first=7)
    move(database, 3, "1", then)
    label(database, then, [12.0] * 6, first=13)
    found = evidence_of(database)
    paces = [
        course(one)["seconds a mask"]["all"]["value"] for one in visits(found.labelled, found.moves)
    ]
    assert paces == [30, 9, 12]
    assert len(found.in_stage) == 6


def test_what_tells_no_time_was_not_made_by_hand(database: Database) -> None:
    sighting = Sighting(Subject.ANNOTATION, 1, SAVED, {"result": []}, 1, "1", NOON, 50, "1", NOON)
    Revisions(database, HOST, PROJECT).add([sighting], "webhook", NOON)
    assert evidence_of(database).labelled == []


def test_many_annotations_are_resampled_in_blocks(database: Database) -> None:
    labelled = [
        Labelled(NOON + timedelta(seconds=n), n, "1", 10, 100.0 + n % 7) for n in range(30_000)
    ]
    found = seconds_a_mask(labelled)
    assert found is not None
    assert found.n == 30_000
    assert found.value == pytest.approx(10.3, abs=0.01)
    assert found.low < found.value < found.high
