"""The learning curves of a run as a picture."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sam_backend.training import metrics

_IOUS = {"click_iou": "1 click", "box_iou": "box", "last_iou": "last click"}


def draw_curves(metrics_file: Path, picture: Path) -> bool:
    """Draw loss, training IoU and held-out score over the steps.

    Args:
        metrics_file: JSON lines that a training wrote.
        picture: The PNG to write.

    Returns:
        False if there is nothing to draw yet: then nothing is written.
    """
    lines = metrics.read(metrics_file)
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
