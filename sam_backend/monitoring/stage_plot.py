"""Quality against speed, stage by stage, and how speed changed as a project went on."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sam_backend.monitoring.board import TradeOff
from sam_backend.stages.labelling import Course, CoursePoint
from sam_backend.stages.policy import StagePolicy

_COLOURS = {"1": "#1565c0", "2": "#2e7d32", "3": "#b45309"}
_OTHER = "#666666"


def draw_stages(
    course: Sequence[Course],
    trade_off: Sequence[TradeOff],
    policies: Mapping[str, StagePolicy],
    png: Path,
) -> None:
    """Draw a project's own figures.

    Args:
        course: How people labelled, visit by visit to a stage.
        trade_off: Quality against speed, stage by stage.
        policies: All stages, for the seconds that a mask may cost.
        png: File that is written.
    """
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    _draw_trade_off(left, trade_off)
    budgets = {stage: policy.seconds_a_mask for stage, policy in policies.items()}
    _draw_course(middle, course, "seconds a mask", lambda point: point.seconds_per_mask, budgets)
    _draw_course(right, course, "masks an image", lambda point: point.masks_per_image, {})
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png, dpi=120)


def _name(stage: str) -> str:
    """Return a stage's name for people."""
    return f"stage {stage}" if stage in _COLOURS else "in no stage"


def _say(axes: Axes, text: str) -> None:
    """Say why nothing is drawn."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="#666")


def _colour(stage: str) -> str:
    return _COLOURS.get(stage, _OTHER)


def _draw_trade_off(axes: Axes, trade_off: Sequence[TradeOff]) -> None:
    axes.set_title("quality against speed")
    is_empty = True
    for one in trade_off:
        pace, quality = one.seconds_per_mask, one.gold_iou
        if pace is None or quality is None:
            continue
        is_empty = False
        ends = (pace.value - pace.low, pace.high - pace.value)
        axes.errorbar(
            pace.value,
            quality,
            xerr=[[max(0.0, end)] for end in ends],
            fmt="o",
            capsize=3,
            color=_colour(one.stage),
        )
        axes.annotate(_name(one.stage), (pace.value, quality), (6, 6), textcoords="offset points")
    if is_empty:
        _say(axes, "no answers to gold images yet:\nsam-backend gold score")
    axes.set_xlabel("seconds a mask")
    axes.set_ylabel("IoU on gold")
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1.02)
    axes.grid(color="#ddd")


def _draw_course(
    axes: Axes,
    course: Sequence[Course],
    title: str,
    figure: Callable[[CoursePoint], float | None],
    budgets: Mapping[str, float],
) -> None:
    axes.set_title(title)
    begin, named, is_empty = 0, set[str](), True
    for visit in course:
        stage, colour = visit.stage, _colour(visit.stage)
        places, values, place = [], [], begin
        for point in visit.points:
            place += point.annotations
            value = figure(point)
            if value is not None:
                places.append(place)
                values.append(value)
        is_empty = is_empty and not values
        label = None if stage in named else _name(stage)
        named.add(stage)
        axes.plot(places, values, "-", marker=".", color=colour, label=label)
        if stage in budgets:
            axes.hlines(budgets[stage], begin, place, colors=colour, linestyles="dotted")
        begin = place
    axes.set_xlabel("annotations")
    axes.set_ylim(bottom=0)
    axes.grid(color="#ddd")
    if is_empty:
        _say(axes, "nothing was submitted yet")
    else:
        axes.legend(frameon=False)
