"""The figures of this process, as the dashboard, the metrics and the alerts see them."""

from dataclasses import dataclass

from sam_backend.monitoring.alerts import Rule
from sam_backend.server.monitor import Activity
from sam_backend.server.status import Status

_MIN_CLICKS = 20
_SLOW_CLICK_S = 2.0
_MANY_ERRORS = 0.2


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """All figures of this process.

    Attributes:
        status: Model, jobs, work, embeddings, projects and journal.
        activity: What was answered lately.
    """

    status: Status
    activity: Activity


def _no_model(server: ServerFigures) -> str | None:
    state = server.status.model.state
    return None if state in ("ready", "loading") else f"no model answers: it has {state}"


def _slow_clicks(server: ServerFigures) -> str | None:
    clicks = server.activity.clicks
    if clicks.n < _MIN_CLICKS or clicks.p95_s <= _SLOW_CLICK_S:
        return None
    return f"one click in twenty takes {clicks.p95_s:.1f} s or longer"


def _failing(server: ServerFigures) -> str | None:
    told = server.activity
    if told.requests < _MIN_CLICKS or told.errors <= _MANY_ERRORS * told.requests:
        return None
    return f"{told.errors} of the last {told.requests} requests failed: {told.last_error}"


def _no_database(server: ServerFigures) -> str | None:
    return server.status.jobs_failure or None


SERVER_RULES: tuple[Rule[ServerFigures], ...] = (
    Rule("no_model", "critical", _no_model),
    Rule("slow_clicks", "warning", _slow_clicks),
    Rule("many_errors", "critical", _failing),
    Rule("no_database", "critical", _no_database),
)
