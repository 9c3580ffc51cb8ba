"""How people label, visit by visit."""

from datetime import UTC, datetime, timedelta

import pytest

from sam_backend.stages.gates import Reading
from sam_backend.stages.labelling import (
    Labelled,
    Thirds,
    course,
    labelled_of,
    masks_gain,
    pace_gain,
    points,
    seconds_per_mask,
    visits,
)
from sam_backend.store.database import Database
from sam_backend.store.revisions import Revisions
from sam_backend.store.stage_moves import StageMoves
from tests.databases import database, settings
from tests.projects.working_project import HOST, PROJECT, falling, label, move

__all__ = ["database", "settings"]


NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_speed_is_told_by_stage_at_its_begin_and_its_end(database: Database) -> None:
    then = label(database, NOON, falling(30, 34, 14), masks=20)
    move(database, 1, "2", then - timedelta(minutes=5))
    label(database, then, [8.0] * 30, masks=50, first=31)
    labelled = labelled_of(Revisions(database, HOST, PROJECT).newest())
    assert len(labelled) == 60
    before, after = visits(labelled, StageMoves(database, HOST, PROJECT).history())
    assert (before.stage, after.stage) == ("none", "2")
    first, second = course(before), course(after)
    assert (first.annotations, first.images, first.masks, first.people) == (30, 30, 600, 2)
    pace = first.seconds_per_mask
    assert pace.begin is not None
    assert pace.begin.value == pytest.approx(sum(falling(30, 34, 14)[:10]) / 10)
    assert pace.end is not None
    assert pace.end.value == pytest.approx(sum(falling(30, 34, 14)[-10:]) / 10)
    assert second.seconds_per_mask.whole is not None
    assert second.seconds_per_mask.whole.value == pytest.approx(8)
    assert second.masks_per_image.whole is not None
    assert second.masks_per_image.whole.value == 50
    assert [one.annotations for one in points(after.labelled, 4)] == [8, 8, 7, 7]
    assert points([]) == []
    gain = pace_gain(before.labelled)
    assert gain is not None
    assert 0.2 < gain.value < 0.3
    assert gain.low < gain.value < gain.high
    flat = Reading.counted(pytest.approx(0), 30)
    assert pace_gain(after.labelled) == flat
    assert masks_gain(after.labelled) == flat
    assert seconds_per_mask([]) is None
    assert pace_gain(after.labelled[:2]) is None


def test_a_project_in_no_stage_and_without_annotations_has_visits_too(database: Database) -> None:
    """The first day: neither moves nor annotations, then annotations, then a move alone."""
    moves = StageMoves(database, HOST, PROJECT)
    assert visits([], moves.history()) == []
    labelled = [Labelled(NOON, 1, "1", 0, 8.0), Labelled(NOON, 2, "1", 2, 20.0)]
    (visit,) = visits(labelled, moves.history())
    assert (visit.stage, list(visit.labelled)) == ("none", labelled)
    told = course(visit)
    assert (told.annotations, told.masks) == (2, 2)
    assert told.points[0].seconds_per_mask is None, "nothing is drawn on the first image"
    move(database, 1, "1", NOON - timedelta(days=1))
    assert [visit.stage for visit in visits([], moves.history())] == ["1"]
    (visit,) = visits(labelled, moves.history())
    assert (visit.stage, list(visit.labelled)) == ("1", labelled)
    empty = course(visits([], moves.history())[0])
    assert empty.seconds_per_mask == Thirds(None, None, None)


def test_many_annotations_are_taken_in_blocks(database: Database) -> None:
    labelled = [
        Labelled(NOON + timedelta(seconds=n), n, "1", 10, 100.0 + n % 7) for n in range(30_000)
    ]
    found = seconds_per_mask(labelled)
    assert found is not None
    assert found.n == 30_000
    assert found.value == pytest.approx(10.3, abs=0.01)
    assert found.low < found.value < found.high
