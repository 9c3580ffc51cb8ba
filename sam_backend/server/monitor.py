"""What this process has answered, and how quickly: for dashboard, metrics and alerts."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Histogram

from sam_backend.serving.timing import StageClock

Kind = Literal["click", "open", "prefill"]

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0)
_KEPT = 1000
_LATELY_S = 900.0
_BUSY_SPAN_S = 60.0


@dataclass(frozen=True, slots=True)
class _Answer:
    at_s: float
    kind: Kind
    seconds: float
    is_error: bool
    spent_s: dict[str, float]


@dataclass(frozen=True, slots=True)
class Clicks:
    """The clicks of the last minutes.

    Attributes:
        n: Number of clicks.
        p50_s: Median of the time until the answer; 0 without clicks.
        p95_s: 95th percentile of it, likewise.
        parts_s: Median of each part of that time, by its name.
        last_s: Times of the last sixty clicks, oldest first.
    """

    n: int
    p50_s: float
    p95_s: float
    parts_s: Mapping[str, float]
    last_s: Sequence[float]


@dataclass(frozen=True, slots=True)
class Activity:
    """What was answered in the last minutes.

    Attributes:
        clicks: The clicks among the requests.
        requests: Number of requests for predictions, at most a thousand.
        errors: Number of those that went wrong.
        last_error: Reason of the last error since the start; empty without one.
        device_busy_share: Share of the last minute in which the device worked.
    """

    clicks: Clicks
    requests: int
    errors: int
    last_error: str
    device_busy_share: float


class Monitor:
    """Counts requests. Safe under threads.

    Args:
        busy_s: Seconds that the device has worked since the start.
        clock: Seconds that only grow.

    Attributes:
        registry: What `/metrics` tells.
    """

    def __init__(
        self, busy_s: Callable[[], float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.registry = CollectorRegistry()
        self._busy_s, self._clock = busy_s, clock
        self._lock = threading.Lock()
        self._answers: deque[_Answer] = deque(maxlen=_KEPT)
        self._busy: deque[tuple[float, float]] = deque([(clock(), busy_s())])
        self._last_error = ""
        self._requests = Histogram(
            "sam_backend_request_seconds",
            "Time until a request for predictions was answered",
            ["kind"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._stages = Histogram(
            "sam_backend_click_stage_seconds",
            "Parts of the time that a click took",
            ["part"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._errors = Counter(
            "sam_backend_errors",
            "Requests for predictions that went wrong",
            ["kind"],
            registry=self.registry,
        )

    def answered(
        self, kind: Kind, seconds: float, error: str = "", clock: StageClock | None = None
    ) -> None:
        """A request was answered.

        Args:
            kind: A click, a task that was opened, or tasks to prefill.
            seconds: From its arrival to its answer.
            error: Why there was no mask; empty if all went well.
            clock: Where the time of a click went.
        """
        spent_s = {} if clock is None else clock.spent_s
        self._requests.labels(kind).observe(seconds)
        for part, spent in spent_s.items():
            self._stages.labels(part).observe(spent)
        if error:
            self._errors.labels(kind).inc()
        with self._lock:
            self._busy_share()
            self._answers.append(_Answer(self._clock(), kind, seconds, bool(error), spent_s))
            self._last_error = error or self._last_error

    def figures(self) -> Activity:
        """Return what was answered in the last minutes."""
        since_s = self._clock() - _LATELY_S
        with self._lock:
            answers = [one for one in self._answers if one.at_s >= since_s]
            last_error = self._last_error
            share = self._busy_share()
        clicks = [one for one in answers if one.kind == "click"]
        p50, p95 = _quantiles([one.seconds for one in clicks])
        parts = {name for one in clicks for name in one.spent_s}
        return Activity(
            clicks=Clicks(
                n=len(clicks),
                p50_s=p50,
                p95_s=p95,
                parts_s={
                    name: _quantiles([one.spent_s.get(name, 0.0) for one in clicks])[0]
                    for name in sorted(parts)
                },
                last_s=[round(one.seconds, 4) for one in clicks[-60:]],
            ),
            requests=len(answers),
            errors=sum(one.is_error for one in answers),
            last_error=last_error,
            device_busy_share=share,
        )

    def _busy_share(self) -> float:
        now, busy = self._clock(), self._busy_s()
        while len(self._busy) > 1 and self._busy[1][0] < now - _BUSY_SPAN_S:
            self._busy.popleft()
        then, before = self._busy[0]
        if now - self._busy[-1][0] >= 1.0:
            self._busy.append((now, busy))
        return min(1.0, (busy - before) / (now - then)) if now > then else 0.0


def _quantiles(values: list[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 0.0
    p50, p95 = np.quantile(values, [0.5, 0.95])
    return float(p50), float(p95)
