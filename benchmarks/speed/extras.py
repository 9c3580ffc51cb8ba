"""What is reported beside the ratios: memory, scaling, and where the remaining time goes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks.speed.contest import tell
from benchmarks.speed.plan import REFERENCES, Allocator, Case, Contestant
from benchmarks.speed.player import Player

POINTS_PER_SIDE = (4, 8, 16)
IMAGE_SIZES = ((400, 600), (1200, 1800), (3000, 4500))
BATCHES = (1, 2, 4)
N_MOST = 5

StartPlayer = Callable[[Allocator, int], Player]


@dataclass(frozen=True, slots=True)
class Extra:
    """One table of the report.

    Attributes:
        title: Its heading.
        columns: Names.
        rows: Cells.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def peak_memory(start: StartPlayer, threads: int, cases: Sequence[Case], ours: Contestant) -> Extra:
    """Each in a process of its own, which does nothing else.

    More points than a batch of the reference take no more memory, only more time.
    """
    rows = []
    for case in (replace(case, points_per_side=POINTS_PER_SIDE[1]) for case in cases):
        cells = [case.path, case.model]
        for one in (*REFERENCES, ours):
            with start(one.allocator, threads) as player:
                player.call("open", **case.as_arguments())
                _run(player, one)
                cells.append(f"{player.call('peak_bytes') / 2**20:.0f} MB")
        rows.append(cells)
    names = [one.name for one in (*REFERENCES, ours)]
    return Extra("Peak memory of a process", ("path", "model", *names), rows)


def scaling(
    player: Player, start: StartPlayer, threads: int, case: Case, ours: Sequence[Contestant]
) -> list[Extra]:
    """Ours alone: with points, image size, batch and threads.

    Args:
        player: Under the tuned allocator.
        start: Makes a process with another number of threads.
        threads: Of `player`; fewer are tried, too.
        case: Of the generator.
        ours: One column each.
    """
    tell(f"scaling of {case.model}")
    names = [one.label for one in ours]
    points = [
        (f"{n}x{n}", [_open_and_run(player, replace(case, points_per_side=n), one) for one in ours])
        for n in POINTS_PER_SIDE
    ]
    click = replace(case, path="first_click")
    sizes = [
        (
            f"{width}x{height}",
            [
                _open_and_run(player, replace(click, image_size=(height, width)), one)
                for one in ours
            ],
        )
        for height, width in IMAGE_SIZES
    ]
    player.call("open", **click.as_arguments())
    batches = [
        (
            str(n),
            [
                player.call("batch", dtype=one.dtype, compiled=one.compiled, n_images=n)
                for one in ours
            ],
        )
        for n in BATCHES
    ]
    by_threads = []
    for n in sorted({1, max(1, threads // 2), threads}):
        with start("tuned", n) as other:
            by_threads.append((str(n), [_open_and_run(other, click, one) for one in ours]))
    return [
        _seconds(f"Automatic generator and points, {case.model}", "points", names, points),
        _seconds(f"First click and image size, {case.model}", "pixels", names, sizes),
        _seconds(f"Encoder and batch, seconds an image, {case.model}", "images", names, batches),
        _seconds(f"First click and threads, {case.model}", "threads", names, by_threads),
    ]


def remaining(player: Player, case: Case, ours: Sequence[Contestant]) -> list[Extra]:
    """The profile's top of each of ours."""
    extras = []
    for one in ours:
        player.call("open", **case.as_arguments())
        player.call("warm", side="ours", dtype=one.dtype, compiled=one.compiled)
        told = player.call("profile", dtype=one.dtype, compiled=one.compiled, n_most=N_MOST)
        title = f"Where the time of {case.path} still goes, {case.model}, {one.label}"
        rows = [(str(name), f"{share:.0%}") for name, share in told]
        extras.append(Extra(title, ("operator", "share of the wall time"), rows))
    return extras


def _seconds(
    title: str, unit: str, names: Sequence[str], rows: Sequence[tuple[str, Sequence[float]]]
) -> Extra:
    cells = [(what, *(f"{seconds:.3g} s" for seconds in told)) for what, told in rows]
    return Extra(title, (unit, *names), cells)


def _open_and_run(player: Player, case: Case, one: Contestant) -> float:
    player.call("open", **case.as_arguments())
    return _run(player, one)


def _run(player: Player, one: Contestant) -> float:
    who = {"side": one.side, "dtype": one.dtype, "compiled": one.compiled}
    player.call("warm", **who)
    seconds: float = player.call("run", **who, number=0)
    return seconds
