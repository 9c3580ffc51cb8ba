"""The progress bar of a training: how far, how good, how long to go."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from sam_backend.training.progress import Progress


@contextmanager
def training_bar() -> Iterator["Callable[[Progress], None]"]:
    """A bar on stderr, or nothing where stderr is no terminal; yields whom to tell."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[told]}"),
    )
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=1.0, told="")

        def observe(progress: "Progress") -> None:
            spent = progress.elapsed_s
            left = progress.eta_s
            share = spent / (spent + left) if left is not None and spent + left > 0 else 0.0
            bar.update(task, description=progress.stage, completed=share, told=told(progress))

        yield observe


def told(progress: "Progress") -> str:
    """Steps, loss, IoUs and time left in a line."""
    of_all = "" if progress.steps is None else f"/{progress.steps}"
    words = [f"{progress.step}{of_all}"]
    for name in ("loss", "click_iou", "box_iou", "held_out"):
        value = getattr(progress, name)
        if value is not None:
            words.append(f"{name.replace('_iou', '')} {value:.3f}")
    if progress.eta_s is not None:
        minutes, seconds = divmod(round(progress.eta_s), 60)
        words.append(f"{minutes}:{seconds:02} left")
    return " · ".join(words)
