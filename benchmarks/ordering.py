"""Does the order of work find a rare kind of images? Against tasks drawn at random.

    python -m benchmarks.ordering [--planted night] [--images 400] [--rare 0.03] [--budget 100]

Images are drawn: two common kinds, and a planted rare one, either alike (`night`: scenes in the
dark) or each different (`leaves`); the starter's encoder sees them. After each round of twenty
tasks the next ones are ordered by what is labelled by then. The second table tells what is
under-represented in what was labelled, with tasks drawn at random and with ordered ones.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sam_backend.dispatch.ordering.contents import SIZES
from sam_backend.dispatch.ordering.groups import Group
from sam_backend.dispatch.ordering.planning import KnownTask, kinds_of, plan_order, survey
from sam_backend.dispatch.ordering.scores import STAGE_WEIGHTS
from sam_backend.serving.factory import serving_champion
from sam_backend.serving.image_features import mean_features
from sam_backend.settings import Settings
from sam_backend.store.annotation_contents import Contents
from sam_backend.training.scenes import hard_scene, simple_scene
from tools.starter.leaves import leaves_scene

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
ROUND = 20
N_KINDS = 10
SIDE = 256
DARK = np.array([0.1, 0.12, 0.25])
COMMON, OTHER, RARE = "boxes", "clutter", "rare"


@dataclass(frozen=True)
class Pool:
    """Tasks with what a person would draw on each.

    Attributes:
        tasks: That wait.
        truth: What each holds.
        is_rare: Shape (N,).
    """

    tasks: Sequence[KnownTask]
    truth: Sequence[Contents]
    is_rare: npt.NDArray[np.bool_]

    @cached_property
    def kinds(self) -> npt.NDArray[np.int64]:
        """Of the images, shape (N,)."""
        return kinds_of([task.features for task in self.tasks], N_KINDS)


def labelled(pool: Pool, chosen: Sequence[int]) -> list[KnownTask]:
    """The tasks, of which some are labelled."""
    tasks = list(pool.tasks)
    for place in chosen:
        tasks[place] = replace(tasks[place], contents=(pool.truth[place],), waits=False)
    return tasks


def choose(pool: Pool, budget: int, seed: int, inject: float | None) -> list[int]:
    """Tasks that people are given, round by round; `inject` None: drawn at random."""
    rng = np.random.default_rng(seed)
    if inject is None:
        return [int(place) for place in rng.permutation(len(pool.tasks))[:budget]]
    places = {task.number: place for place, task in enumerate(pool.tasks)}
    chosen: list[int] = []
    while len(chosen) < budget:
        found = survey(labelled(pool, chosen), [COMMON, OTHER, RARE], pool.kinds)
        orders = plan_order(found, STAGE_WEIGHTS["1"], inject, NOON)
        chosen += [places[one.task] for one in orders[: min(ROUND, budget - len(chosen))]]
    return chosen


def groups_after(pool: Pool, chosen: Sequence[int]) -> tuple[Group, ...]:
    """What is labelled of each group."""
    return survey(labelled(pool, chosen), [COMMON, OTHER, RARE], pool.kinds).groups


def drawn_pool(
    see: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]],
    planted: str,
    n: int,
    rare: float,
    seed: int,
) -> Pool:
    """A pool of drawn images."""
    rng = np.random.default_rng(seed)
    is_rare = np.arange(n) < round(rare * n)
    is_rare = rng.permutation(is_rare)
    tasks, truth = [], []
    for place in range(n):
        if is_rare[place] and planted == "night":
            label, scene = RARE, hard_scene(rng, SIDE)
            scene = replace(scene, image=(scene.image * DARK).astype(np.uint8))
        elif is_rare[place]:
            label, scene = RARE, leaves_scene(rng, SIDE)
        elif rng.random() < 0.6:
            label, scene = COMMON, simple_scene(rng, SIDE)
        else:
            label, scene = OTHER, hard_scene(rng, SIDE)
        sizes = dict.fromkeys(SIZES, 0)
        for mask in scene.masks:
            sizes[next(name for name, below in SIZES.items() if mask.sum() < below)] += 1
        truth.append(Contents({label: len(scene.masks)}, sizes))
        tasks.append(KnownTask(place + 1, None, (), True, see(scene.image), None, None))
    return Pool(tasks, truth, is_rare)


def main() -> None:
    """Prints tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planted", choices=("night", "leaves"), default="night")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--rare", type=float, default=0.03)
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=6)
    options = parser.parse_args()
    settings = Settings()
    with serving_champion(settings) as champion, champion.lease() as model:
        pools = [
            drawn_pool(
                lambda image: mean_features(model.embed(image)),
                options.planted,
                options.images,
                options.rare,
                seed,
            )
            for seed in range(options.seeds)
        ]
    ways = {"at random": None, "ordered": 0.0, "30 % injected": 0.3, "50 % injected": 0.5}
    print(f"| {options.budget} of {options.images} tasks | recall of the rare kind, mean | least |")
    print("|---|---|---|")
    chosen = {}
    for name, inject in ways.items():
        chosen[name] = [
            choose(pool, options.budget, seed, inject) for seed, pool in enumerate(pools)
        ]
        recalls = [
            pool.is_rare[some].sum() / pool.is_rare.sum()
            for pool, some in zip(pools, chosen[name], strict=True)
        ]
        print(f"| {name} | {np.mean(recalls):.2f} | {min(recalls):.2f} |")
    print(f"\n| group | wanted | {' | '.join(ways)} |")
    print("|---|---|---|---|---|---|")
    tables = [groups_after(pools[0], chosen[name][0]) for name in ways]
    for row in zip(*tables, strict=True):
        if row[0].what != "image kind":
            marks = [f"{g.share:.1%}{' (under)' if g.is_under else ''}" for g in row]
            print(f"| {row[0].what} {row[0].name} | {row[0].wanted:.1%} | {' | '.join(marks)} |")
    under = [sum(g.is_under for g in table if g.what == "image kind") for table in tables]
    print(f"| image kinds under-represented | 0 | {' | '.join(map(str, under))} |")


if __name__ == "__main__":
    main()
