"""Who stands where: figures with their intervals, one row for each annotator or model."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sam_backend.metrics.scorecards import BOUNDARY_IOU, MATCHED_IOU, QUALITY, Scorecard

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
        axes.plot([], [], "o", color=colour, label=name)
    axes.set_yticks(range(len(cards)), [name for name, _ in cards])
    axes.set_ylim(max(1, len(cards)) - 0.5, -0.5)
    if not cards:
        axes.text(0.5, 0, "nobody has met gold yet", ha="center", va="center", color="#666")
    axes.set_xlim(0, 1.02)
    axes.grid(axis="x", color="#ddd")
    figure.legend(loc="outside lower center", ncols=len(_SHOWN), frameon=False)
    figure.savefig(png, dpi=120)
