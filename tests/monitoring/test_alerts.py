"""Rules about a project."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sam_backend.metrics.intervals import Interval
from sam_backend.monitoring.alerts import PROJECT_RULES, Alert, raised
from sam_backend.monitoring.board import Board, Calibration, Retraining
from sam_backend.projects.measured import CalibrationDrift, LotVerdict
from sam_backend.stages.gates import Checked, Figure, Gate, Reading
from sam_backend.stages.labelling import Course, Thirds
from sam_backend.stages.policy import policies
from sam_backend.stages.transitions import Standing

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
POLICIES = policies({})


def _standing(stage: str, *down: Checked) -> Standing:
    return Standing(POLICIES[stage], None, (), down, {}, 0)


def _paced(low: float) -> list[Course]:
    pace = Thirds(None, None, Reading(low + 1, low, low + 2, 30))
    return [Course("1", 30, 30, 30, 1, 300.0, pace, Thirds(None, None, None), ())]


def _board(**changes: Any) -> Board:
    healthy: dict[str, Any] = {
        "stage": _standing("1"),
        "course": _paced(9.0),
        "lots": [],
        "calibration": None,
        "retrainings": [],
    }
    board = {"is_in_stage": True, **healthy, **changes}
    return Board(project=3, label_studio="", policies=POLICIES, failures={}, **board)


def _lots(*verdicts: str) -> list[LotVerdict]:
    return [LotVerdict(at=NOON, run="r", review_project=9, verdict=one) for one in verdicts]


def _calibration(*contradicted: bool) -> Calibration:
    drift = [
        CalibrationDrift(
            at=NOON, model_version="v", drift=Interval(-0.2, -0.3, -0.1), contradicted=one
        )
        for one in contradicted
    ]
    return Calibration("v", NOON, 50, 0.2, 0.1, None, None, "", drift)


def _retraining(job: int, state: str, reason: str = "") -> Retraining:
    return Retraining(job, state, NOON, reason)


@pytest.mark.parametrize(
    ("told", "rules"),
    [
        (_board(), []),
        (_board(course=[]), []),
        (_board(course=_paced(20.9)), []),
        (_board(course=_paced(21.1)), ["slow_masks"]),
        (_board(course=_paced(30), is_in_stage=False), []),
        (_board(lots=_lots("reject")), ["lot_rejected"]),
        (_board(lots=_lots("accept", "reject")), []),
        (_board(lots=_lots("continue sampling", "reject")), ["lot_rejected"]),
        (_board(calibration=_calibration(False)), []),
        (_board(calibration=_calibration(True)), ["calibration_drift"]),
        (_board(calibration=_calibration()), []),
        (_board(retrainings=[_retraining(4, "failed", "no masks")]), ["retraining_failed"]),
        (_board(retrainings=[_retraining(4, "done")]), []),
        (
            _board(retrainings=[_retraining(5, "queued"), _retraining(4, "failed", "no masks")]),
            ["retraining_failed"],
        ),
        (_board(course=_paced(30), stage=None, lots=None, retrainings=None), []),
        (_board(course=None, lots=_lots("reject")), ["lot_rejected"]),
    ],
)
def test_rules_about_a_project(told: Board, rules: list[str]) -> None:
    assert [one.rule for one in raised(PROJECT_RULES, told)] == rules


def test_a_stage_that_should_be_left_is_told() -> None:
    gate = Gate(Figure.KEPT, 0.2, is_least=False)
    stage = _standing("2", gate.check(Reading.counted(0.1, 30)))
    (alert,) = raised(PROJECT_RULES, _board(stage=stage))
    reason = "stage 2 should be left: prefilled masks kept 0.1"
    assert alert == Alert("stage_backward", "critical", reason)
