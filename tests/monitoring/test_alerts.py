"""Rules about a server and about a project."""

from typing import Any

import pytest

from sam_backend.monitoring.alerts import (
    PROJECT_RULES,
    SERVER_RULES,
    raised,
)


def _server(**changes: Any) -> dict[str, Any]:
    healthy: dict[str, Any] = {
        "model": {"state": "ready"},
        "clicks": {"n": 100, "p95_s": 0.1},
        "requests": {"lately": 100},
        "errors": {"lately": 1, "last": "no image"},
        "database": "",
    }
    return healthy | changes


@pytest.mark.parametrize(
    ("told", "rules"),
    [
        (_server(), []),
        (_server(model={"state": "failed"}), ["no_model"]),
        (_server(model={"state": "loading"}), []),
        (_server(clicks={"n": 100, "p95_s": 2.1}), ["slow_clicks"]),
        (_server(clicks={"n": 3, "p95_s": 9.0}), []),
        (_server(errors={"lately": 21, "last": "no image"}), ["many_errors"]),
        (_server(database="it is away"), ["no_database"]),
    ],
)
def test_rules_about_a_server(told: dict[str, Any], rules: list[str]) -> None:
    assert [one["rule"] for one in raised(SERVER_RULES, told)] == rules


def _board(**changes: Any) -> dict[str, Any]:
    pace = {"value": 10.0, "low": 9.0, "high": 11.0}
    healthy: dict[str, Any] = {
        "is in a stage": True,
        "stage": {"stage": "1", "policy": {"seconds_a_mask": 14.0}, "down": []},
        "course": [{"stage": "1", "seconds a mask": {"end": pace}}],
        "lots": [],
        "calibration": None,
        "retrainings": [],
    }
    return healthy | changes


def _paced(low: float) -> list[dict[str, Any]]:
    end = {"value": low + 1, "low": low, "high": low + 2}
    return [{"stage": "1", "seconds a mask": {"end": end}}]


def _drift(contradicted: bool) -> dict[str, Any]:
    return {"drift": [{"contradicted": contradicted, "drift": {"value": -0.2}}]}


@pytest.mark.parametrize(
    ("told", "rules"),
    [
        (_board(), []),
        (_board(course=[]), []),
        (_board(course=_paced(20.9)), []),
        (_board(course=_paced(21.1)), ["slow_masks"]),
        (_board(course=_paced(30), **{"is in a stage": False}), []),
        (_board(lots=[{"run": "r", "verdict": "reject"}]), ["lot_rejected"]),
        (_board(lots=[{"run": "r", "verdict": v} for v in ("accept", "reject")]), []),
        (
            _board(lots=[{"run": v, "verdict": v} for v in ("continue sampling", "reject")]),
            ["lot_rejected"],
        ),
        (_board(calibration=_drift(False)), []),
        (_board(calibration=_drift(True)), ["calibration_drift"]),
        (_board(calibration={"drift": []}), []),
        (
            _board(retrainings=[{"job": 4, "state": "failed", "reason": "no masks"}]),
            ["retraining_failed"],
        ),
        (_board(retrainings=[{"job": 4, "state": "done", "reason": ""}]), []),
        (
            _board(
                retrainings=[
                    {"job": 5, "state": "queued", "reason": ""},
                    {"job": 4, "state": "failed", "reason": "no masks"},
                ]
            ),
            ["retraining_failed"],
        ),
    ],
)
def test_rules_about_a_project(told: dict[str, Any], rules: list[str]) -> None:
    assert [one["rule"] for one in raised(PROJECT_RULES, told)] == rules


def test_a_stage_that_should_be_left_is_told() -> None:
    gate = {"figure": "prefilled masks kept", "passes": True, "reading": {"value": 0.1}}
    stage = {"stage": "2", "policy": {"seconds_a_mask": 10.0}, "down": [gate]}
    (alert,) = raised(PROJECT_RULES, _board(stage=stage))
    assert alert == {
        "rule": "stage_backward",
        "severity": "critical",
        "reason": "stage 2 should be left: prefilled masks kept 0.1",
    }
