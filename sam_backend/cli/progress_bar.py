"""One line on stderr about long work: how far, how good, how long to go."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

LINE_S = 30.0
"""Seconds between two lines where stderr is no terminal."""
_FIGURES = {"loss": "loss", "click_iou": "click", "box_iou": "box", "held_out": "held-out"}


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
def progress_bar() -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A bar, or a line now and then where stderr is no terminal; yields what takes the state.

    The state is what jobs report: `stage`, `done`, `of` and the figures that are known.
    """
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
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar,
    ):
        task = bar.add_task("starting", total=1.0, told="")

        def show(state: Mapping[str, Any]) -> None:
            nonlocal stands
            if "stage" in state:
                stands = f"{state['stage']}: {told(state)}"
                share = share_done(state)
                bar.update(task, description=state["stage"], completed=share, told=told(state))

        yield show


def counting(show: Callable[[Mapping[str, Any]], None], stage: str) -> Callable[[int, int], None]:
    """What takes how many are done, and of how many, and shows it under the name of a stage."""
    return lambda done, of: show({"stage": stage, "done": done, "of": of})


def share_done(state: Mapping[str, Any]) -> float:
    """By count where it is known how many there are, else by time; 0 to 1."""
    if state.get("of"):
        return float(state["done"]) / float(state["of"])
    spent, left = state.get("elapsed_s", 0.0), state.get("eta_s")
    return float(spent / (spent + left)) if left is not None and spent + left > 0 else 0.0


def told(state: Mapping[str, Any]) -> str:
    """Count, figures and time left in a line."""
    words = [f"{state['done']}" + (f"/{state['of']}" if state.get("of") else "")]
    words += [f"{name} {state[key]:.3f}" for key, name in _FIGURES.items() if key in state]
    if "masks" in state:
        words.append(f"{state['masks']} masks")
    for key, name in (("images_a_second", "images/s"), ("masks_a_second", "masks/s")):
        if state.get(key):
            words.append(f"{state[key]:.1f} {name}")
    if state.get("eta_s") is not None:
        minutes, seconds = divmod(round(state["eta_s"]), 60)
        words.append(f"{minutes}:{seconds:02} left")
    return " · ".join(words)
