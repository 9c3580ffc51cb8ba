"""Reliability diagrams: what was said against what came true."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sam_backend.quality.calibration.probability import N_BINS, Reliability


def draw_reliability(before: Reliability, after: Reliability, png: Path) -> None:
    """Draw what was said against what came true, and how many masks each bin has."""
    figure = Figure(figsize=(6, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes, bars = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    axes.plot([0, 1], [0, 1], color="#999", linestyle=":", label="perfect")
    for one, name, colour in (
        (before, "predicted IoU", "#b71c1c"),
        (after, "calibrated", "#1565c0"),
    ):
        points = [(x, y) for x, y in zip(one.said, one.came_true, strict=True) if x is not None]
        label = f"{name}: expected calibration error {one.error:.3f}"
        axes.plot(*zip(*points, strict=True), marker="o", color=colour, label=label)
        places = (np.arange(N_BINS) + 0.5) / N_BINS
        bars.bar(places, one.masks, 1 / N_BINS, color=colour, alpha=0.4)
    axes.set_ylabel("share of masks that needed no correction")
    axes.legend(loc="upper left", frameon=False)
    bars.set_xlabel("what was said")
    bars.set_ylabel("masks")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    figure.savefig(png, dpi=120)
