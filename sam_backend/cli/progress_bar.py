"""One line on stderr about long work: how far, how good, how long to go."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

from sam_backend.progress import Progress

LINE_S = 30.0
"""Seconds between two lines where stderr is no terminal."""

Show = Callable[[Progress], None]
"""Shows how far work is."""


@contextmanager
def lines_beside(console: Console, line: Callable[[], str]) -> Iterator[None]:
    """Print a line every `LINE_S` seconds for the length of the block, but on no terminal.

    Args:
        console: A terminal has a bar instead, and gets nothing.
        line: What is printed, as things stand then.
    """
    if console.is_terminal:
        yield
        return
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(LINE_S):
            console.print(line(), markup=False, highlight=False, soft_wrap=True)

    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


@contextmanager
def progress_bar() -> Iterator[Show]:
    """A bar, or a line now and then where stderr is no terminal; yields what takes the progress."""
    console = Console(stderr=True)
    stands = "starting"
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[told]}"),
    )
    with (
        lines_beside(console, lambda: stands),
        Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar,
    ):
        task = bar.add_task("starting", total=1.0, told="")

        def show(progress: Progress) -> None:
            nonlocal stands
            line = told(progress)
            stands = f"{progress.stage}: {line}"
            share = share_done(progress)
            bar.update(task, description=progress.stage, completed=share, told=line)

        yield show


def counting(show: Show, stage: str) -> Callable[[int, int], None]:
    """What takes how many are done, and of how many, and shows it under the name of a stage."""
    return lambda done, of: show(Progress(stage, done, of))


def share_done(progress: Progress) -> float:
    """By count where it is known how many there are, else by time; 0 to 1."""
    if progress.of:
        return progress.done / progress.of
    spent, left = progress.elapsed_s or 0.0, progress.eta_s
    return spent / (spent + left) if left is not None and spent + left > 0 else 0.0


def told(progress: Progress) -> str:
    """Count, figures and time left in a line."""
    words = [f"{progress.done}" + (f"/{progress.of}" if progress.of else "")]
    for name, figure in (
        ("loss", progress.loss),
        ("click", progress.click_iou),
        ("box", progress.box_iou),
        ("held-out", progress.held_out),
    ):
        if figure is not None:
            words.append(f"{name} {figure:.3f}")
    if progress.masks is not None:
        words.append(f"{progress.masks} masks")
    for name, speed in (
        ("images/s", progress.images_per_second),
        ("masks/s", progress.masks_per_second),
    ):
        if speed:
            words.append(f"{speed:.1f} {name}")
    if progress.eta_s is not None:
        minutes, seconds = divmod(round(progress.eta_s), 60)
        words.append(f"{minutes}:{seconds:02} left")
    return " · ".join(words)
