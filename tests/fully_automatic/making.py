"""Folders of procedural pictures, and runs over them by the starter."""

from pathlib import Path

import numpy as np
from PIL import Image

from sam_backend.fully_automatic.executors import Executor, Machines, executor_named
from sam_backend.fully_automatic.generating import Summary, generate_run, plan_run
from sam_backend.settings import Settings
from sam_backend.training.scenes import hard_scene

POINTS = {"points_per_side": 4}
SHARD_IMAGES = 4


def make_images(folder: Path, count: int, side: int = 96, seed: int = 3) -> None:
    """So many different pictures, in two folders."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        path = folder / ("even", "odd")[number % 2] / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(hard_scene(rng, side).image).save(path)


def generate(source: Path, out: Path, executor: Executor | None = None, **more: object) -> Summary:
    """A run with few points and small shards."""
    settings = Settings(threads=1)
    return generate_run(
        settings,
        out,
        plan_run(settings, str(source), POINTS, SHARD_IMAGES),
        executor or executor_named("local", settings, Machines()),
        **more,  # type: ignore[arg-type]
    )


def shard_bytes(out: Path) -> dict[str, bytes]:
    """All shards of a run by name; there must be nothing else beside them."""
    return {path.name: path.read_bytes() for path in sorted((out / "shards").iterdir())}
