"""What is measured of a project: kept as JSON, and read again whichever release wrote it."""

from datetime import UTC, datetime

import pytest

from sam_backend.errors import DatabaseError
from sam_backend.metrics.corrections import LotShares
from sam_backend.metrics.intervals import Interval
from sam_backend.projects.measured import (
    CalibrationDrift,
    GoldAnswer,
    GoldScores,
    JudgedByGold,
    LotVerdict,
    Measured,
    PrefillEdits,
    RunImport,
    Surveyed,
)
from sam_backend.store.database import Database
from sam_backend.store.measurements import Measurement, Measurements
from tests.databases import database, settings
from tests.projects.working_project import HOST, PROJECT

__all__ = ["database", "settings"]

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
IOU = Interval(0.91, 0.88, 0.94)
JSON_IOU = {"value": 0.91, "low": 0.88, "high": 0.94}


@pytest.mark.parametrize(
    "told",
    [
        GoldScores(
            at=NOON,
            images=12,
            people=JudgedByGold(images=6, matched_iou=IOU),
            models=(JudgedByGold(who="starter-3+1", images=2),),
            answers=(
                GoldAnswer(at=NOON, pairs=3, iou_sum=2.7, masks=4, seconds=None),
                GoldAnswer(at=None, pairs=0, iou_sum=0.0, masks=0, seconds=9.5),
            ),
        ),
        GoldScores(at=NOON),
        PrefillEdits(at=NOON, annotations=31, kept=7, lead_time_s=9.5, kept_share=IOU),
        LotVerdict(
            at=NOON,
            run="a",
            review_project=3,
            verdict="accept",
            shares=LotShares(deleted_masks=IOU),
        ),
        RunImport(at=NOON, run="a", tasks_made=5),
        CalibrationDrift(at=NOON, model_version="v", masks=9, drift=IOU, contradicted=False),
        Surveyed(at=NOON, revision=7),
    ],
)
def test_what_is_kept_is_read_again(database: Database, told: Measured) -> None:
    measurements = Measurements(database, HOST, PROJECT)
    told.keep(measurements)
    row = measurements.newest(told.KIND)
    assert row is not None
    assert type(told).of(row) == told


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (
            {
                "gold images": 12,
                "people": {"who": "people", "images": 6, "matched IoU": JSON_IOU, "AP": "too few"},
                "annotators": [{"who": "1", "images": 2, "matched IoU": "too few"}],
                "models": [],
                "answers": [
                    {"at": NOON.isoformat(), "pairs": 3, "IoU": 2.7, "masks": 4, "seconds": None}
                ],
            },
            GoldScores(
                at=NOON,
                images=12,
                people=JudgedByGold(images=6, matched_iou=IOU),
                annotators=(JudgedByGold(who="1", images=2),),
                answers=(GoldAnswer(at=NOON, pairs=3, iou_sum=2.7, masks=4, seconds=None),),
            ),
        ),
        (
            {
                "annotations": 31,
                "annotations without a prediction": 2,
                "kept": 7,
                "seconds an added mask, at most": 3.5,
                "kept share": JSON_IOU,
                "unread, which": {"empty mask": {"count": 1, "which": []}},
            },
            PrefillEdits(
                at=NOON,
                annotations=31,
                annotations_without_a_prediction=2,
                kept=7,
                kept_share=IOU,
            ),
        ),
        (
            {
                "run": "a",
                "review project": 9,
                "verdict": "reject",
                "images": 3,
                "shares": {"pairs above 0.90 IoU": JSON_IOU, "deleted masks": None},
            },
            LotVerdict(
                at=NOON,
                run="a",
                review_project=9,
                verdict="reject",
                images=3,
                shares=LotShares(pairs_above_iou_90=IOU),
            ),
        ),
        ({"run": "a", "tasks made": 5}, RunImport(at=NOON, run="a", tasks_made=5)),
    ],
)
def test_rows_of_earlier_releases_are_read(document: dict[str, object], told: Measured) -> None:
    assert type(told).of(Measurement(told.KIND, document, NOON)) == told


def test_an_odd_row_names_what_is_wrong() -> None:
    with pytest.raises(DatabaseError, match=r"the gold measurement of 2026-01-02 12:00 .*: people"):
        GoldScores.of(Measurement("gold", {"people": "?"}, NOON))
