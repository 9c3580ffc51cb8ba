"""What a training writes down: JSON lines that survive a kill, and what an observer is told."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sam_backend.files import replacing

METRICS_NAME = "metrics.jsonl"


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """What one step, or the mean of several, reached on its own training examples.

    Attributes:
        loss: Of all passes of a session.
        click_iou: After a lone click.
        box_iou: After a lone box.
        last_iou: After the last pass.
        grad_norm: Before it was clipped.
    """

    loss: float
    click_iou: float
    box_iou: float
    last_iou: float
    grad_norm: float


def mean(recent: Sequence[StepMetrics]) -> StepMetrics:
    """The mean of several steps, at least one."""
    return StepMetrics(
        *(
            sum(getattr(s, field.name) for s in recent) / len(recent)
            for field in fields(StepMetrics)
        )
    )


def append(file: Path, line: dict[str, Any], metrics: StepMetrics | None = None) -> None:
    """Add a line; what is not finite (JSON has no name for it) becomes null."""
    values = asdict(metrics) if metrics else {}
    rounded = {k: round(v, 4) if math.isfinite(v) else None for k, v in values.items()}
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(line | rounded) + "\n")


def read(file: Path) -> list[dict[str, Any]]:
    """The lines in order; a last line cut off by a kill is left out."""
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]


def forget_after(file: Path, step: int) -> None:
    """Drop the lines of steps after `step`, which a training that resumes there does again."""
    kept = [line for line in read(file) if line["step"] <= step]
    with replacing(file) as unfinished:
        unfinished.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
