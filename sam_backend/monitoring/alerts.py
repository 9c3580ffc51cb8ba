"""Rules over a project's board or a server's figures: what somebody should look at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from sam_backend.monitoring.board import Board

Severity = Literal["warning", "critical"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule that is raised.

    Attributes:
        rule: Name of the rule.
        severity: Critical: annotators or the data suffer now.
        reason: Why it is raised, as a sentence.
    """

    rule: str
    severity: Severity
    reason: str


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """One rule.

    Attributes:
        name: Also of the metric's label and of the rule for Prometheus.
        severity: Critical: annotators or the data suffer now.
        says: Tells from the figures why it is raised, as a sentence; None: all is well, or the
            part of the board that tells could not be made.
    """

    name: str
    severity: Severity
    says: Callable[[T], str | None]


def _slow(board: Board) -> str | None:
    pace = board.course[-1].seconds_per_mask.end if board.course and board.is_in_stage else None
    if pace is None or board.stage is None:
        return None
    policy = board.stage.policy
    if pace.low <= 1.5 * policy.seconds_a_mask:
        return None
    allowed = f"stage {policy.stage} allows {policy.seconds_a_mask:g} s"
    return f"a mask takes {pace.value:.1f} s, and {allowed}"


def _backward(board: Board) -> str | None:
    if board.stage is None or not board.is_in_stage:
        return None
    told = ", ".join(
        f"{one.gate.figure} {one.reading.value:.3g}"
        for one in board.stage.down
        if one.passes and one.reading is not None
    )
    return f"stage {board.stage.policy.stage} should be left: {told}" if told else None


def _rejected(board: Board) -> str | None:
    lots = [lot for lot in board.lots or () if lot.verdict in ("accept", "reject")]
    if not lots or lots[0].verdict != "reject":
        return None
    return f"the last lot, {lots[0].run[:12]}, was rejected"


def _drifted(board: Board) -> str | None:
    last = board.calibration.drift[-1] if board.calibration and board.calibration.drift else None
    if last is None or last.drift is None or not last.contradicted:
        return None
    return f"scores are off by {last.drift.value:+.2f}: sam-backend quality calibrate"


def _failed_retraining(board: Board) -> str | None:
    ended = [one for one in board.retrainings or () if one.state not in ("queued", "running")]
    if not ended or ended[0].state != "failed":
        return None
    return f"retraining {ended[0].job} failed: {ended[0].reason}"


PROJECT_RULES: tuple[Rule[Board], ...] = (
    Rule("slow_masks", "warning", _slow),
    Rule("stage_backward", "critical", _backward),
    Rule("lot_rejected", "critical", _rejected),
    Rule("calibration_drift", "warning", _drifted),
    Rule("retraining_failed", "warning", _failed_retraining),
)


def raised(rules: Sequence[Rule[T]], figures: T) -> list[Alert]:
    """Return what the rules raise about these figures, in their order."""
    told = ((rule, rule.says(figures)) for rule in rules)
    return [Alert(rule.name, rule.severity, reason) for rule, reason in told if reason is not None]
