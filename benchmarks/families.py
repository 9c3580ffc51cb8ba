"""Families at true size with random weights: encode, a click, 64 clicks, and memory.

Each side runs in a process of its own on one thread, turn by turn; seconds are the processor's, the
fewest of all rounds, and ratios those of the first family over each other one's.
`python -m benchmarks.families vit_b sam2`.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from sam_backend.sam import postprocess
from sam_backend.sam.families import family_named
from sam_backend.sam.precision import Precision
from sam_backend.sam.types import Prompt

SIZE = (900, 1200)
MEGABYTE = 2**20


def fastest(run: Callable[[], object], n_rounds: int) -> float:
    """Processor seconds of the fastest of several rounds."""
    times = []
    for _ in range(n_rounds):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def measure(name: str, precision: Precision, n_rounds: int) -> dict[str, float]:
    """One family in this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    family = family_named(name)
    network = family.build().eval()
    weights = sum(weight.numel() * 4 for weight in network.parameters())
    model = family.promptable(network, name, "", precision)
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    postprocess.warm_up()
    embedding = model.embed(image)
    grid = np.random.default_rng(1).uniform(0, 1, (64, 2)) * SIZE[::-1]
    return {
        "encode, s": fastest(lambda: model.embed(image), n_rounds),
        "encode and first click, s": fastest(
            lambda: model.predict(model.embed(image), Prompt([(600, 450)]), limit=1), n_rounds
        ),
        "next click, s": fastest(
            lambda: model.predict(embedding, Prompt([(600, 450)]), limit=1), 3 * n_rounds
        ),
        "64 clicks, s": fastest(lambda: list(model.scan(embedding, grid)), 1),
        "weights, MB": weights / MEGABYTE,
        "embedding, MB": embedding.n_bytes / MEGABYTE,
        "peak of the process, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Print a table, a row a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="+")
    parser.add_argument("--precision", default="float32", choices=list(Precision))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    precision = Precision(given.precision)
    if given.child:
        print(json.dumps(measure(given.families[0], precision, given.rounds)))
        return
    found: dict[str, dict[str, float]] = {}
    for _ in range(given.turns):
        for name in given.families:
            command = [sys.executable, "-m", "benchmarks.families", name, "--child"]
            command += ["--precision", precision, "--rounds", str(given.rounds)]
            told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            before = found.setdefault(name, told)
            found[name] = {key: min(value, before[key]) for key, value in told.items()}
    first, *others = given.families
    print(f"| {precision}, one thread | {' | '.join(given.families)} | ratio |")
    print(f"|---{'|---' * len(given.families)}|---|")
    for key, base in found[first].items():
        values = " | ".join(f"{found[name][key]:.3g}" for name in given.families)
        ratios = ", ".join(f"{base / found[name][key]:.2f}" for name in others)
        print(f"| {key} | {values} | {ratios} |")


if __name__ == "__main__":
    main()
