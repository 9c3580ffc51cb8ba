"""`/metrics`: this process and its projects, as Prometheus reads them.

Labels are bounded: kinds, stages, verdicts and rules are fixed sets, and of projects the first
`MAX_PROJECTS` are told. People are never told apart.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from sam_backend.engine.monitoring.alerts import PROJECT_RULES, SERVER_RULES, raised
from sam_backend.errors import SamBackendError
from sam_backend.server.boards import MAX_PROJECTS, Boards

log = logging.getLogger(__name__)

_PREFIX = "sam_backend"
_BUDGET_S = 5.0
"""For boards, of a scrape: Prometheus gives up after some ten seconds."""
Json = Mapping[str, Any]
Key = tuple[str, ...]
"""Values of a metric's labels."""


class Figures(Collector):
    """Reads status and boards when Prometheus asks.

    Args:
        server: The figures of this process.
        boards: Of the projects.
    """

    def __init__(self, server: Callable[[], Json], boards: Boards) -> None:
        self._server, self._boards = server, boards

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        yield from _of_server(self._server())
        boards = {}
        until_s = time.monotonic() + _BUDGET_S
        for project in self._boards.projects()[:MAX_PROJECTS]:
            if time.monotonic() > until_s:  # the next scrape finds these kept, and goes on
                break
            try:
                board = self._boards.board(project)
            except SamBackendError:  # told by the alert on the database
                continue
            except Exception:  # one odd project must not hide the others, and the server
                log.exception("project %d has no metrics", project)
                continue
            if board is not None:
                boards[str(project)] = board
        yield from _of_projects(boards)


def _of_server(told: Json) -> Iterator[Metric]:
    yield _gauge("up", "1 if a model answers", told["model"]["state"] == "ready")
    yield _gauge(
        "model_info", "Served version", {(told["model"]["version"],): 1}, ("model_version",)
    )
    yield _gauge("device_queue", "Pieces of work that wait for the device", told["work"]["waiting"])
    yield _counter("device_busy_seconds", "The device worked", told["work"]["device_busy_s"])
    embeddings = told["embeddings"]
    outcomes: dict[Key, float] = {
        (name,): embeddings[name] for name in ("from_cache", "encoded", "shared", "failed")
    }
    yield _counter("embeddings", "How embeddings were had", outcomes, ("outcome",))
    yield _gauge("embeddings_bytes", "Kept in memory", embeddings["memory_mb"] * 1024 * 1024)
    jobs: Counter[Key] = Counter((one["kind"], one["state"]) for one in told["jobs"])
    yield _gauge("jobs", "The newest jobs by kind and state", jobs, ("kind", "state"))
    yield _alerts("server_alert", "Rules about this process", SERVER_RULES, {(): told["alerts"]})


def _of_projects(boards: Mapping[str, Json]) -> Iterator[Metric]:
    def of(read: Callable[[Json], Any]) -> dict[Key, float]:
        """A figure of each project, where it is known."""
        found = {(project,): read(board) for project, board in boards.items()}
        return {key: value for key, value in found.items() if value is not None}

    def by(read: Callable[[Json], Mapping[str, Any]]) -> dict[Key, float]:
        """Figures of each project by a second label."""
        return {
            (project, name): value
            for project, board in boards.items()
            for name, value in read(board).items()
            if value is not None
        }

    project, stage = ("project",), ("project", "stage")
    yield _gauge("stage", "Stage; 0: in none", of(_stage), project)
    for name, says, key in (
        ("annotations", "Submitted annotations", "annotations"),
        ("masks", "Objects on them", "masks"),
        ("annotation_seconds", "Time of people", "seconds"),
    ):
        yield _gauge(name, says, by(partial(_course, key=key)), stage)
    for name, says, key in (
        ("seconds_per_mask", "Time of people, last third of the stage", "seconds a mask"),
        ("masks_per_image", "Masks of an annotation, last third of the stage", "masks an image"),
    ):
        yield _gauge(name, says, by(partial(_ends, key=key)), stage)
    yield _gauge(
        "prefilled_masks",
        "Prefilled masks by what became of them",
        by(lambda board: board["triage"]["masks"]),
        ("project", "outcome"),
    )
    yield _gauge("gold_iou", "People's IoU on gold", of(_gold), project)
    yield _gauge("calibration_error", "Expected calibration error", of(_error), project)
    yield _gauge("calibration_drift", "Of masks judged since", of(_drift), project)
    yield _gauge(
        "lots",
        "Bulk runs by verdict",
        by(lambda board: Counter(lot["verdict"] for lot in board["lots"])),
        ("project", "verdict"),
    )
    yield _gauge("queued_tasks", "In people's queues", of(lambda b: b["queues"]["tasks"]), project)
    alerts: dict[Key, Any] = {(name,): board["alerts"] for name, board in boards.items()}
    yield _alerts("project_alert", "Rules about a project", PROJECT_RULES, alerts, project)


def server_alerts(told: Json) -> list[dict[str, str]]:
    """What the rules about this process raise."""
    return raised(SERVER_RULES, told)


def _stage(board: Json) -> float:
    return float(board["stage"]["stage"]) if board["is in a stage"] else 0.0


def _course(board: Json, key: str) -> dict[str, Any]:
    """Summed over all visits to a stage."""
    found: Counter[str] = Counter()
    for visit in board["course"]:
        found[visit["stage"]] += visit[key]
    return dict(found)


def _ends(board: Json, key: str) -> dict[str, Any]:
    """Of the last visit to a stage."""
    ends = {visit["stage"]: visit[key]["end"] for visit in board["course"]}
    return {stage: end["value"] for stage, end in ends.items() if end is not None}


def _gold(board: Json) -> float | None:
    people = None if board["gold"] is None else board["gold"]["people"]
    return people["value"] if isinstance(people, Mapping) else None


def _error(board: Json) -> float | None:
    return None if board["calibration"] is None else board["calibration"]["error"]


def _drift(board: Json) -> float | None:
    drifts = board["calibration"]["drift"] if board["calibration"] else []
    drift = drifts[-1]["drift"] if drifts else None
    return None if drift is None else drift["value"]


def _gauge(
    name: str,
    says: str,
    values: float | Mapping[Key, float],
    labels: tuple[str, ...] = (),
) -> Metric:
    family = GaugeMetricFamily(f"{_PREFIX}_{name}", says, labels=labels)
    return _filled(family, values)


def _counter(
    name: str,
    says: str,
    values: float | Mapping[Key, float],
    labels: tuple[str, ...] = (),
) -> Metric:
    return _filled(CounterMetricFamily(f"{_PREFIX}_{name}", says, labels=labels), values)


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily,
    values: float | Mapping[Key, float],
) -> Metric:
    for key, value in values.items() if isinstance(values, Mapping) else [((), values)]:
        family.add_metric(key, float(value))
    return family


def _alerts(
    name: str,
    says: str,
    rules: Iterable[Any],
    told: Mapping[Key, Iterable[Mapping[str, str]]],
    labels: tuple[str, ...] = (),
) -> Metric:
    """1 for each rule that is raised, 0 for each that is not."""
    values = {
        (*key, rule.name, rule.severity): float(any(one["rule"] == rule.name for one in some))
        for key, some in told.items()
        for rule in rules
    }
    return _gauge(name, says, values, (*labels, "rule", "severity"))
