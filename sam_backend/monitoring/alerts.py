"""Rules over a project's board and a server's figures: what somebody should look at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Json = Mapping[str, Any]
Severity = Literal["warning", "critical"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        name: Also of the metric's label and of the rule for Prometheus.
        severity: Critical: annotators or the data suffer now.
        says: Why it is raised, as a sentence; None: all is well. Of a board or a server's figures.
        reads: Parts of a board that it looks at; it is silent where one of them failed.
    """

    name: str
    severity: Severity
    says: Callable[[Json], str | None]
    reads: tuple[str, ...] = ()


def _slow(board: Json) -> str | None:
    stage, visits = board["stage"], board["course"]
    pace = visits[-1]["seconds a mask"]["end"] if visits and board["is in a stage"] else None
    budget = stage["policy"]["seconds_a_mask"]
    if pace is None or pace["low"] <= 1.5 * budget:
        return None
    return f"a mask takes {pace['value']:.1f} s, and stage {stage['stage']} allows {budget:g} s"


def _backward(board: Json) -> str | None:
    open_ = [one for one in board["stage"]["down"] if one["passes"]]
    if not open_ or not board["is in a stage"]:
        return None
    told = ", ".join(f"{one['figure']} {one['reading']['value']:.3g}" for one in open_)
    return f"stage {board['stage']['stage']} should be left: {told}"


def _rejected(board: Json) -> str | None:
    lots = [lot for lot in board["lots"] if lot["verdict"] in ("accept", "reject")]
    if not lots or lots[0]["verdict"] != "reject":
        return None
    return f"the last lot, {str(lots[0]['run'])[:12]}, was rejected"


def _drifted(board: Json) -> str | None:
    calibration = board["calibration"]
    drift = calibration["drift"][-1] if calibration and calibration["drift"] else None
    if drift is None or not drift["contradicted"]:
        return None
    return f"scores are off by {drift['drift']['value']:+.2f}: sam-backend quality calibrate"


def _failed_retraining(board: Json) -> str | None:
    ended = [one for one in board["retrainings"] if one["state"] not in ("queued", "running")]
    if not ended or ended[0]["state"] != "failed":
        return None
    last = ended[0]
    return f"retraining {last['job']} failed: {last['reason']}"


def _no_model(server: Json) -> str | None:
    state = server["model"]["state"]
    return None if state in ("ready", "loading") else f"no model answers: it has {state}"


def _slow_clicks(server: Json) -> str | None:
    clicks = server["clicks"]
    if clicks["n"] < _MIN_CLICKS or clicks["p95_s"] <= _SLOW_CLICK_S:
        return None
    return f"one click in twenty takes {clicks['p95_s']:.1f} s or longer"


def _failing(server: Json) -> str | None:
    requests, errors = server["requests"]["lately"], server["errors"]["lately"]
    if requests < _MIN_CLICKS or errors <= _MANY_ERRORS * requests:
        return None
    return f"{errors} of the last {requests} requests failed: {server['errors']['last']}"


def _no_database(server: Json) -> str | None:
    return server["database"] or None


_MIN_CLICKS = 20
_SLOW_CLICK_S = 2.0
_MANY_ERRORS = 0.2

PROJECT_RULES: tuple[Rule, ...] = (
    Rule("slow_masks", "warning", _slow, ("stage", "course")),
    Rule("stage_backward", "critical", _backward, ("stage",)),
    Rule("lot_rejected", "critical", _rejected, ("lots",)),
    Rule("calibration_drift", "warning", _drifted, ("calibration",)),
    Rule("retraining_failed", "warning", _failed_retraining, ("retrainings",)),
)
SERVER_RULES: tuple[Rule, ...] = (
    Rule("no_model", "critical", _no_model),
    Rule("slow_clicks", "warning", _slow_clicks),
    Rule("many_errors", "critical", _failing),
    Rule("no_database", "critical", _no_database),
)


def raised(rules: Sequence[Rule], told: Json) -> list[dict[str, str]]:
    """What the rules raise, in their order."""
    failed = told.get("failures", {})
    found = []
    for rule in rules:
        if any(part in failed for part in rule.reads):
            continue  # the board tells of the part itself
        reason = rule.says(told)
        if reason is not None:
            found.append({"rule": rule.name, "severity": rule.severity, "reason": reason})
    return found
