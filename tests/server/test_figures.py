"""Rules about a server."""

from typing import Any

import pytest

from sam_backend.monitoring.alerts import raised
from sam_backend.server.figures import SERVER_RULES, ServerFigures
from sam_backend.server.monitor import Activity, Clicks
from sam_backend.server.status import EmbeddingsStatus, ModelStatus, Status, WorkStatus


def _server(state: str = "ready", jobs_failure: str = "", **activity: Any) -> ServerFigures:
    model = ModelStatus(state, "v", "vit_b", "", "", "none", "none", "none", "none", "")
    embeddings = EmbeddingsStatus(0, 0.0, "not set", 0, 0, 0, 0)
    status = Status(model, [], [], [], [], jobs_failure, WorkStatus(0, 0.0), embeddings, {}, [])
    healthy: dict[str, Any] = {"clicks": _clicks(100, 0.1), "requests": 100, "errors": 1}
    told = Activity(**healthy | activity, last_error="no image", device_busy_share=0.1)
    return ServerFigures(status, told)


def _clicks(n: int, p95_s: float) -> Clicks:
    return Clicks(n, p95_s, p95_s, {}, [])


@pytest.mark.parametrize(
    ("told", "rules"),
    [
        (_server(), []),
        (_server("failed"), ["no_model"]),
        (_server("loading"), []),
        (_server(clicks=_clicks(100, 2.1)), ["slow_clicks"]),
        (_server(clicks=_clicks(3, 9.0)), []),
        (_server(errors=21), ["many_errors"]),
        (_server(jobs_failure="it is away"), ["no_database"]),
    ],
)
def test_rules_about_a_server(told: ServerFigures, rules: list[str]) -> None:
    assert [one.rule for one in raised(SERVER_RULES, told)] == rules
