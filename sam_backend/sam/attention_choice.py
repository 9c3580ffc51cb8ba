"""Which way of computing attention is fastest here: a short measurement, kept if asked."""

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from sam_backend.sam.attention import Attention, PositionTables, attend

_LEAST_ROUNDS: Final = 2
_MOST_ROUNDS: Final = 20
"""The best of many: on a busy machine a short piece of work rarely runs undisturbed."""
_BUDGET_S: Final = 0.4
"""After which a measurement begins no more rounds than the least: servers are to start soon."""
_WIN: Final = 0.85
"""Share of the blocked way's time below which another is taken: it was nowhere far behind."""
_CPU_LOGITS: Final = 1 << 24
"""Logits of a measurement on a CPU at most: one of ViT-B's twelve heads of global attention."""


@dataclass(frozen=True, slots=True)
class AttentionCase:
    """What the fastest way depends on, beside the machine.

    Attributes:
        device: Where it runs.
        dtype: Of queries, keys and values.
        groups: Heads times windows times images that are computed together, G.
        side: Of the square grid or window, in cells.
        head: Channels of a head, d.
    """

    device: torch.device
    dtype: torch.dtype
    groups: int
    side: int
    head: int

    def key(self) -> str:
        """Names the case, the processor and torch: times of one key may be compared."""
        if self.device.type == "cuda":
            processor = torch.cuda.get_device_name(self.device)
        else:
            capability = torch.backends.cpu.get_cpu_capability()
            processor = f"{capability} CPU, {torch.get_num_threads()} threads"
        shape = f"{self.groups} x {self.side}^2 x {self.head}"
        return f"torch {torch.__version__}, {processor}, {self.dtype}, {shape}"


def measure(case: AttentionCase) -> dict[Attention, float]:
    """Seconds that each way takes for a case: the best of a few interleaved rounds.

    A CPU takes fewer heads, so that a server's start does not wait, and its times are those that
    this thread worked: other processes, which may well be busy now, would decide else.
    """
    groups, tokens = case.groups, case.side**2
    clock = time.perf_counter
    if case.device.type == "cpu":
        groups = max(1, min(groups, _CPU_LOGITS // tokens**2))
        clock = time.thread_time
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(case.device, case.dtype)

    weights = noise(2 * case.side - 1, case.head)
    tables = PositionTables.of(weights, weights, case.side, case.side)
    q, k, v = (noise(groups, tokens, case.head) for _ in range(3))
    seconds = dict.fromkeys(Attention, float("inf"))
    begin = time.perf_counter()
    with torch.inference_mode():
        for done in range(_MOST_ROUNDS):
            if done >= _LEAST_ROUNDS and time.perf_counter() - begin > _BUDGET_S:
                break
            for way in Attention:
                start = clock()
                attend(way, q, k, v, tables)
                if case.device.type == "cuda":
                    torch.cuda.synchronize(case.device)
                seconds[way] = min(seconds[way], clock() - start)
    return seconds


class AttentionChoice:
    """Answers with the fastest way for a case, measured once; safe under threads.

    One object is enough for a process: hand it to every encoder that it builds.
    """

    def __init__(
        self,
        path: Path | None = None,
        measure: Callable[[AttentionCase], Mapping[Attention, float]] = measure,
    ) -> None:
        """Takes a file for what is measured, so that the next start need not measure again.

        Args:
            path: A JSON file `{case: {way: seconds}}`, read now and written after a measurement;
                one that cannot be read or written is done without. None: this process alone.
            measure: Tells the seconds of each way.
        """
        self._path = path
        self._measure = measure
        self._lock = threading.Lock()
        self._seconds = _read(path)

    def __call__(self, case: AttentionCase) -> Attention:
        """The fastest way for this case; the blocked one unless another is clearly faster."""
        key = case.key()
        with self._lock:
            if key not in self._seconds:
                self._seconds[key] = dict(self._measure(case))
                _write(self._path, self._seconds)
            seconds = self._seconds[key]
        fastest = min(seconds, key=seconds.__getitem__)
        wins = seconds[fastest] < _WIN * seconds[Attention.BLOCKED]
        return fastest if wins else Attention.BLOCKED


def _read(path: Path | None) -> dict[str, dict[Attention, float]]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8")) if path else {}
        return {
            str(case): {way: float(seconds[way]) for way in Attention}
            for case, seconds in kept.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _write(path: Path | None, seconds: Mapping[str, Mapping[Attention, float]]) -> None:
    """Replaces the file in one step: another process may be reading it."""
    if path is None:
        return
    text = json.dumps(seconds, indent=1, sort_keys=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except OSError:  # a read-only disk costs the next start a second, no more
        return
