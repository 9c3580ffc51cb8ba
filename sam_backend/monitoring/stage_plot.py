"""Quality against speed, stage by stage, and how speed changed as a project went on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_COLOURS = {"1": "#1565c0", "2": "#2e7d32", "3": "#b45309"}
_OTHER = "#666666"


def draw_stages(
    course: Sequence[Mapping[str, Any]], trade_off: Sequence[Mapping[str, Any]], png: Path
) -> None:
    """Draw a project's own figures.

    Args:
        course: Visits to stages in their order, each with `stage`, `budget` (seconds) and `points`,
            its parts in order, each with `annotations`, `seconds a mask` and `masks an image`.
        trade_off: By stage `seconds a mask` (value, low, high; or None) and `IoU on gold`.
        png: Is written.
    """
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    _draw_trade_off(left, trade_off)
    _draw_course(middle, course, "seconds a mask")
    _draw_course(right, course, "masks an image")
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png, dpi=120)


def _name(stage: str) -> str:
    """Return a stage's name for people."""
    return f"stage {stage}" if stage in _COLOURS else "in no stage"


def _say(axes: Axes, text: str) -> None:
    """Say why nothing is drawn."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="#666")


def _draw_trade_off(axes: Axes, trade_off: Sequence[Mapping[str, Any]]) -> None:
    axes.set_title("quality against speed")
    is_empty = True
    for one in trade_off:
        pace, quality = one["seconds a mask"], one["IoU on gold"]
        if pace is None or quality is None:
            continue
        is_empty = False
        ends = (pace["value"] - pace["low"], pace["high"] - pace["value"])
        colour = _COLOURS.get(one["stage"], _OTHER)
        axes.errorbar(
            pace["value"],
            quality,
            xerr=[[max(0.0, end)] for end in ends],
            fmt="o",
            capsize=3,
            color=colour,
        )
        axes.annotate(
            _name(one["stage"]), (pace["value"], quality), (6, 6), textcoords="offset points"
        )
    if is_empty:
        _say(axes, "no answers to gold images yet:\nsam-backend gold score")
    axes.set_xlabel("seconds a mask")
    axes.set_ylabel("IoU on gold")
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1.02)
    axes.grid(color="#ddd")


def _draw_course(axes: Axes, course: Sequence[Mapping[str, Any]], name: str) -> None:
    axes.set_title(name)
    begin, named, is_empty = 0, set[str](), True
    for told in course:
        stage = told["stage"]
        colour = _COLOURS.get(stage, _OTHER)
        places, values, place = [], [], begin
        for point in told["points"]:
            place += point["annotations"]
            if point[name] is not None:
                places.append(place)
                values.append(point[name])
        is_empty = is_empty and not values
        label = None if stage in named else _name(stage)
        named.add(stage)
        axes.plot(places, values, "-", marker=".", color=colour, label=label)
        if name == "seconds a mask" and told["budget"] is not None:
            axes.hlines(told["budget"], begin, place, colors=colour, linestyles="dotted")
        begin = place
    axes.set_xlabel("annotations")
    axes.set_ylim(bottom=0)
    axes.grid(color="#ddd")
    if is_empty:
        _say(axes, "nothing was submitted yet")
    else:
        axes.legend(frameon=False)
