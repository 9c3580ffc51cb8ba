"""What a training writes down: JSON lines that survive a kill, and a picture of them."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sam_backend.files import replacing

METRICS_NAME = "metrics.jsonl"
_IOUS = {"click_iou": "1 click", "box_iou": "box", "last_iou": "last click"}


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """What one step, or the mean of several, reached on its own training examples.

    Attributes:
        loss: Loss of all passes of a session.
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


def draw_curves(metrics_file: Path, picture: Path) -> bool:
    """Draw loss, training IoU and held-out score over the steps.

    Args:
        metrics_file: JSON lines that a training wrote.
        picture: The PNG to write.

    Returns:
        False if there is nothing to draw yet: then nothing is written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # not for those who only write
    from matplotlib.figure import Figure

    lines = read(metrics_file)
    steps = [line for line in lines if line.get("loss") is not None]
    held_out = [line for line in lines if "held_out" in line]
    if not steps and not held_out:
        return False
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    loss, iou = figure.subplots(1, 2)
    loss.plot([line["step"] for line in steps], [line["loss"] for line in steps])
    loss.set(xlabel="step", ylabel="loss", title="Loss of a simulated session")
    for name, label in _IOUS.items():
        known = [(line["step"], line[name]) for line in steps if line[name] is not None]
        iou.plot([step for step, _ in known], [value for _, value in known], label=label)
    if held_out:
        scores = [line["held_out"] for line in held_out]
        iou.plot([line["step"] for line in held_out], scores, "ko-", label="held-out score")
    iou.set(xlabel="step", ylabel="IoU", title="IoU on training images, score on held-out ones")
    iou.set_ylim(0, 1)
    iou.legend()
    figure.savefig(picture, dpi=100, format="png")
    return True
