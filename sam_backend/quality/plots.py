"""Pictures of the quality report: who stands where, and reliability diagrams."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sam_backend.json_form import words
from sam_backend.metrics.scorecards import BOUNDARY_IOU, MATCHED_IOU, QUALITY, Scorecard
from sam_backend.quality.calibration.probability import N_BINS, Reliability

_SHOWN = ((QUALITY, "#1565c0"), (MATCHED_IOU, "#2e7d32"), (BOUNDARY_IOU, "#8a6d00"))


def draw_standings(cards: Sequence[tuple[str, Scorecard]], png: Path) -> None:
    """Draw scorecards, the first on top.

    Args:
        cards: With the name of each.
        png: Is written.
    """
    figure = Figure(figsize=(7, 1.4 + 0.6 * len(cards)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for place, (name, colour) in enumerate(_SHOWN):
        for row, (_, card) in enumerate(cards):
            found = card.figures[name]
            if found is not None:
                ends = (found.value - found.low, found.high - found.value)
                axes.errorbar(
                    found.value,
                    row + 0.2 * (place - 1),
                    xerr=[[max(0.0, end)] for end in ends],
                    fmt="o",
                    capsize=3,
                    color=colour,
                )
        axes.plot([], [], "o", color=colour, label=words(name))
    axes.set_yticks(range(len(cards)), [name for name, _ in cards])
    axes.set_ylim(max(1, len(cards)) - 0.5, -0.5)
    if not cards:
        axes.text(0.5, 0, "nobody has met gold yet", ha="center", va="center", color="#666")
    axes.set_xlim(0, 1.02)
    axes.grid(axis="x", color="#ddd")
    figure.legend(loc="outside lower center", ncols=len(_SHOWN), frameon=False)
    figure.savefig(png, dpi=120)


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
