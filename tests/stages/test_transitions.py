"""From what was measured to moves between stages."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest

from sam_backend.errors import InvalidInputError, SamBackendError
from sam_backend.metrics.intervals import Interval
from sam_backend.projects.measured import (
    CalibrationDrift,
    GoldScores,
    JudgedByGold,
    LotVerdict,
    PrefillEdits,
    RunImport,
)
from sam_backend.stages.gates import Figure, Reading
from sam_backend.stages.labelling import (
    course,
    visits,
)
from sam_backend.stages.policy import policies
from sam_backend.stages.stage_metrics import Evidence, gather
from sam_backend.stages.transitions import (
    AUTOMATIC,
    advance,
    begin,
    move_by_gates,
    retreat,
    standing,
)
from sam_backend.store.database import Database
from sam_backend.store.measurements import Measurements
from sam_backend.store.revisions import SAVED, Observation, Revisions, Subject
from sam_backend.store.stage_moves import StageMove, StageMoves
from tests.databases import database, settings
from tests.projects.working_project import HOST, PROJECT, label, move, opened

__all__ = ["database", "settings"]

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)

GOOD = Interval(0.9, 0.85, 0.95)

BAD = Interval(0.55, 0.5, 0.6)


def evidence_of(database: Database) -> Evidence:
    return gather(opened(database), None, "starter-2+1")


def people_on_gold(database: Database, iou: Interval | None, at: datetime = NOON) -> None:
    people = JudgedByGold(images=6, matched_iou=iou)
    GoldScores(at=at, people=people).keep(Measurements(database, HOST, PROJECT))


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
    assert made.readings["people's IoU on gold"] == {**asdict(GOOD), "n": 6}

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
    people_on_gold(database, None)
    assert Figure.PEOPLE_IOU not in evidence_of(database).readings()
    people_on_gold(database, GOOD)
    PrefillEdits(at=NOON, annotations=31, kept_share=GOOD).keep(measurements)
    drift = CalibrationDrift(at=NOON, model_version="starter-2+1", contradicted=True)
    drift.keep(measurements)
    found = evidence_of(database).readings()
    assert found[Figure.PEOPLE_IOU] == Reading(0.9, 0.85, 0.95, 6)
    assert found[Figure.KEPT] == Reading(0.9, 0.85, 0.95, 31)
    assert Figure.CALIBRATION_DRIFT not in found, "of a calibration that is not there"


def test_lots_count_where_they_were_imported_or_reviewed(database: Database) -> None:
    here, elsewhere = (Measurements(database, HOST, number) for number in (PROJECT, 9))

    def judged(where: Measurements, run: str, verdict: str, project: int) -> None:
        LotVerdict(at=NOON, run=run, review_project=project, verdict=verdict).keep(where)

    judged(elsewhere, "a", "reject", 9)
    assert evidence_of(database).lots == []
    RunImport(at=NOON, run="a").keep(here)
    judged(here, "b", "continue sampling", PROJECT)
    judged(here, "b", "reject", PROJECT)
    found = evidence_of(database)
    assert [lot.run for lot in found.lots] == ["b", "a"]
    assert found.readings()[Figure.REJECTED_LOTS] == Reading.counted(2, 2)
    judged(here, "c", "accept", PROJECT)
    assert evidence_of(database).readings()[Figure.REJECTED_LOTS] == Reading.counted(0, 3)


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
        at = NOON + timedelta(minutes=minutes)
        LotVerdict(at=at, run=run, review_project=PROJECT, verdict=verdict).keep(measurements)

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
    assert [lot.run for lot in evidence_of(database).lots] == ["c", "b", "a"]


def test_a_stage_that_is_visited_again_begins_anew(database: Database) -> None:
    move(database, 1, "1", NOON)
    then = label(database, NOON, [30.0] * 6)
    move(database, 2, "2", then)
    then = label(database, then, [9.0] * 6, first=7)
    move(database, 3, "1", then)
    label(database, then, [12.0] * 6, first=13)
    found = evidence_of(database)
    courses = [course(one) for one in visits(found.labelled, found.moves)]
    paces = [one.seconds_per_mask.whole for one in courses]
    assert [pace and pace.value for pace in paces] == [30, 9, 12]
    assert len(found.in_stage) == 6


def test_what_tells_no_time_was_not_made_by_hand(database: Database) -> None:
    observation = Observation(
        Subject.ANNOTATION, 1, SAVED, {"result": []}, 1, "1", NOON, 50, "1", NOON
    )
    Revisions(database, HOST, PROJECT).add([observation], "reading", NOON)
    assert evidence_of(database).labelled == []
