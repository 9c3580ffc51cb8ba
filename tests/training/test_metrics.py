"""The lines a training writes, and the picture of them."""

import json
from pathlib import Path

import cv2

from sam_backend.training import metrics
from sam_backend.training.metrics import StepMetrics, append, draw_curves, forget_after, mean, read


def test_lines_are_read_back_and_later_ones_forgotten(tmp_path: Path) -> None:
    file = tmp_path / metrics.METRICS_NAME
    forget_after(file, 3)
    for step in range(1, 6):
        append(file, {"step": step}, StepMetrics(step / 3, 0.5, float("nan"), 1, float("inf")))
    assert read(file)[0] == {
        "step": 1,
        "loss": 0.3333,
        "click_iou": 0.5,
        "box_iou": None,
        "last_iou": 1,
        "grad_norm": None,
    }
    with file.open("a") as lines:
        lines.write('{"step": 6, "lo')  # killed while it was written
    forget_after(file, 3)
    assert [line["step"] for line in read(file)] == [1, 2, 3]
    append(file, {"step": 4, "held_out": 0.7})
    assert json.loads(file.read_text().splitlines()[-1]) == {"step": 4, "held_out": 0.7}


def test_the_mean_of_steps() -> None:
    assert mean([StepMetrics(1, 0, 1, 0, 2), StepMetrics(3, 1, 1, 0, 4)]) == StepMetrics(
        2, 0.5, 1, 0, 3
    )


def test_curves_are_drawn_once_there_is_something_to_draw(tmp_path: Path) -> None:
    file, picture = tmp_path / metrics.METRICS_NAME, tmp_path / "curves.png"
    assert not draw_curves(file, picture)
    assert not picture.exists()
    append(file, {"step": 0, "held_out": 0.4})
    for step in range(1, 5):
        append(file, {"step": step}, StepMetrics(3 / step, 0.1 * step, float("nan"), 0.5, 1))
    assert draw_curves(file, picture)
    height, width = cv2.imread(str(picture)).shape[:2]
    assert (height, width) == (400, 1000)
