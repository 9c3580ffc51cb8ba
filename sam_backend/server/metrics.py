"""`/metrics`: this process and its projects, as Prometheus reads them.

Labels are bounded: kinds, stages, verdicts and rules are fixed sets, and of projects the first
`MAX_PROJECTS` are told. People are never told apart.
"""

import logging
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from sam_backend.errors import SamBackendError
from sam_backend.monitoring.alerts import PROJECT_RULES, Rule, raised
from sam_backend.monitoring.board import Board
from sam_backend.server.boards import MAX_PROJECTS, Boards
from sam_backend.server.figures import SERVER_RULES, ServerFigures
from sam_backend.stages.labelling import Course, Thirds

log = logging.getLogger(__name__)

_PREFIX = "sam_backend"
_BUDGET_S = 5.0
"""For boards, of a scrape: Prometheus gives up after some ten seconds."""
_KEPT = 1000
"""Failures that are remembered, so that the log tells none of them at every scrape."""

T = TypeVar("T")

Key = tuple[str, ...]
"""Values of a metric's labels."""
Values = Mapping[Key, float | None]
"""Values by those of the labels; None: unknown."""


@dataclass(frozen=True, slots=True)
class _Family(Generic[T]):
    """A metric that is read from the figures of this process, or from a project's board.

    Attributes:
        name: Without our prefix.
        says: Help for people.
        read: Reads its values; none where a part of the board could not be made.
        labels: Beside the project's number.
        is_counter: It only grows.
    """

    name: str
    says: str
    read: Callable[[T], Values]
    labels: tuple[str, ...] = ()
    is_counter: bool = False

    def empty(self, first: tuple[str, ...] = ()) -> "_Filled":
        """The metric without a value; `first` are labels before its own."""
        kind = CounterMetricFamily if self.is_counter else GaugeMetricFamily
        return kind(f"{_PREFIX}_{self.name}", self.says, labels=(*first, *self.labels))


_Filled = GaugeMetricFamily | CounterMetricFamily


class Figures(Collector):
    """Reads status and boards when Prometheus asks.

    What cannot be read costs its own figures alone: it is counted by
    `sam_backend_metrics_errors_total`, and the log has the reason.

    Args:
        server: The figures of this process.
        boards: Boards of the projects.
    """

    def __init__(self, server: Callable[[], ServerFigures], boards: Boards) -> None:
        self._server, self._boards = server, boards
        self._lock = threading.Lock()
        self._errors = Counter[str](dict.fromkeys(COLLECTORS, 0))
        self._logged = deque[tuple[str, str]](maxlen=_KEPT)

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        told = self._tried("status", self._server)
        for family in _SERVER:
            made = family.empty()
            yield made if told is None else self._fill(made, family, told, ())
        boards = self._read_boards()
        for one in _PROJECT:
            made = one.empty(("project",))
            for project, board in boards.items():
                self._fill(made, one, board, (project,))
            yield made
        with self._lock:
            errors = dict(self._errors)
        yield self._fill(_ERRORS.empty(), _ERRORS, errors, ())

    def _read_boards(self) -> dict[str, Board]:
        """Boards by project, of as many projects as there is time for."""
        boards: dict[str, Board] = {}
        until_s = time.monotonic() + _BUDGET_S
        for project in (self._tried("projects", self._boards.projects) or [])[:MAX_PROJECTS]:
            if time.monotonic() > until_s:  # the next scrape finds these kept, and goes on
                break
            board = self._tried("board", partial(self._boards.board, project))
            if board is not None:
                boards[str(project)] = board
                for part, reason in board.failures.items():
                    self._count("board", f"project {project}: {part}: {reason}")
        return boards

    def _fill(self, made: _Filled, family: _Family[T], told: T, first: Key) -> _Filled:
        self._tried(family.name, lambda: _add(made, first, family.read(told)))
        return made

    def _tried(self, collector: str, read: Callable[[], T]) -> T | None:
        """What is read; None, counted and logged, where that fails."""
        try:
            return read()
        except SamBackendError as error:
            self._count(collector, str(error))
        except Exception as error:  # one odd figure must not hide the others, and the server
            self._count(collector, f"internal error {type(error).__name__}", error)
        return None

    def _count(self, collector: str, reason: str, error: Exception | None = None) -> None:
        """Count a failure; the log gets it once, and not at every scrape."""
        with self._lock:
            self._errors[collector] += 1
            is_known = (collector, reason) in self._logged
            self._logged.append((collector, reason))
        if not is_known:
            log.warning("/metrics: %s cannot be read: %s", collector, reason, exc_info=error)


def _add(made: _Filled, first: Key, values: Values) -> None:
    """Give a metric these values: all of them or, if one is no number, none."""
    numbers = {(*first, *key): float(v) for key, v in values.items() if v is not None}
    for key, value in numbers.items():
        made.add_metric(key, value)


def _one(read: Callable[[T], float | None]) -> Callable[[T], Values]:
    """A figure without labels of its own."""
    return lambda told: {(): read(told)}


def _by(read: Callable[[T], Mapping[str, float | None]]) -> Callable[[T], Values]:
    """Figures by one label."""
    return lambda told: {(name,): value for name, value in read(told).items()}


def _jobs(server: ServerFigures) -> Values:
    return Counter[Key]((one.kind, one.state) for one in server.status.jobs)


def _embeddings(server: ServerFigures) -> Mapping[str, float | None]:
    told = server.status.embeddings
    return {
        "from_cache": told.from_cache,
        "encoded": told.encoded,
        "shared": told.shared,
        "failed": told.failed,
    }


def _verdicts(board: Board) -> Mapping[str, float | None]:
    return Counter[str](lot.verdict for lot in board.lots or ())


def _stage(board: Board) -> float | None:
    if board.stage is None:
        return None
    return float(board.stage.policy.stage) if board.is_in_stage else 0.0


def _summed(read: Callable[[Course], float]) -> Callable[[Board], Values]:
    """Summed over all visits to a stage."""

    def by_stage(board: Board) -> Mapping[str, float | None]:
        found = defaultdict[str, float](float)
        for visit in board.course or ():
            found[visit.stage] += read(visit)
        return found

    return _by(by_stage)


def _ends(read: Callable[[Course], Thirds]) -> Callable[[Board], Values]:
    """At the end of the last visit to a stage."""

    def by_stage(board: Board) -> Mapping[str, float | None]:
        ends = {visit.stage: read(visit).end for visit in board.course or ()}
        return {stage: end.value for stage, end in ends.items() if end is not None}

    return _by(by_stage)


def _gold(board: Board) -> float | None:
    people = None if board.gold is None else board.gold.people
    return None if people is None or people.matched_iou is None else people.matched_iou.value


def _drift(board: Board) -> float | None:
    drifts = board.calibration.drift if board.calibration else ()
    found = drifts[-1].drift if drifts else None
    return None if found is None else found.value


def _alerts(rules: Sequence[Rule[T]]) -> Callable[[T], Values]:
    """1 for each rule that is raised, 0 for each that is not."""

    def read(told: T) -> Values:
        names = {one.rule for one in raised(rules, told)}
        return {(rule.name, rule.severity): float(rule.name in names) for rule in rules}

    return read


_RULE = ("rule", "severity")
_STAGE = ("stage",)

_SERVER: tuple[_Family[ServerFigures], ...] = (
    _Family("up", "1 if a model answers", _one(lambda told: told.status.model.state == "ready")),
    _Family(
        "model_info",
        "Served version",
        _by(lambda told: {told.status.model.version: 1}),
        ("model_version",),
    ),
    _Family(
        "models_loaded",
        "1 for each model in memory, by its state",
        lambda told: {(one.version, one.state): 1 for one in told.status.models},
        ("model_version", "state"),
    ),
    _Family(
        "model_bytes",
        "Weights of each model in memory",
        _by(lambda told: {one.version: one.memory_mb * 2**20 for one in told.status.models}),
        ("model_version",),
    ),
    _Family(
        "model_projects",
        "Projects that name each model in memory",
        _by(lambda told: {one.version: len(one.projects) for one in told.status.models}),
        ("model_version",),
    ),
    _Family(
        "device_queue",
        "Pieces of work that wait for the device",
        _one(lambda told: told.status.work.waiting),
    ),
    _Family(
        "device_busy_seconds",
        "The device worked",
        _one(lambda told: told.status.work.device_busy_s),
        is_counter=True,
    ),
    _Family(
        "embeddings", "How embeddings were had", _by(_embeddings), ("outcome",), is_counter=True
    ),
    _Family(
        "embeddings_bytes",
        "Kept in memory",
        _one(lambda told: told.status.embeddings.memory_mb * 1024 * 1024),
    ),
    _Family("jobs", "The newest jobs by kind and state", _jobs, ("kind", "state")),
    _Family("server_alert", "Rules about this process", _alerts(SERVER_RULES), _RULE),
)
_PROJECT: tuple[_Family[Board], ...] = (
    _Family("stage", "Stage; 0: in none", _one(_stage)),
    _Family(
        "annotations", "Submitted annotations", _summed(lambda visit: visit.annotations), _STAGE
    ),
    _Family("masks", "Objects on them", _summed(lambda visit: visit.masks), _STAGE),
    _Family("annotation_seconds", "Time of people", _summed(lambda visit: visit.seconds), _STAGE),
    _Family(
        "seconds_per_mask",
        "Time of people, last third of the stage",
        _ends(lambda visit: visit.seconds_per_mask),
        _STAGE,
    ),
    _Family(
        "masks_per_image",
        "Masks of an annotation, last third of the stage",
        _ends(lambda visit: visit.masks_per_image),
        _STAGE,
    ),
    _Family(
        "prefilled_masks",
        "Prefilled masks by what became of them",
        _by(lambda board: board.triage.masks if board.triage else {}),
        ("outcome",),
    ),
    _Family("gold_iou", "People's IoU on gold", _one(_gold)),
    _Family(
        "calibration_error",
        "Expected calibration error",
        _one(lambda board: board.calibration.error if board.calibration else None),
    ),
    _Family("calibration_drift", "Of masks judged since", _one(_drift)),
    _Family("lots", "Bulk runs by verdict", _by(_verdicts), ("verdict",)),
    _Family(
        "queued_tasks",
        "In people's queues",
        _one(lambda board: board.queues.tasks if board.queues else None),
    ),
    _Family("project_alert", "Rules about a project", _alerts(PROJECT_RULES), _RULE),
)
_ERRORS: _Family[Mapping[str, int]] = _Family(
    "metrics_errors",
    "Figures that could not be collected for /metrics, by what failed",
    _by(dict),
    ("collector",),
    is_counter=True,
)
COLLECTORS = (
    "status",
    "projects",
    "board",
    *(family.name for family in _SERVER),
    *(family.name for family in _PROJECT),
)
"""What `sam_backend_metrics_errors_total` tells apart."""
