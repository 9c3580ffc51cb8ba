"""Measures our paths against `segment_anything` and writes `benchmarks/results/<device>.json`.

python -m benchmarks.speed [--quick] [--models starter vit_b] [--dtypes float32 bfloat16]
    [--paths …] [--rounds 5] [--compiled] [--device auto] [--threads N] [--extras]
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks.speed.contest import compete, tell
from benchmarks.speed.extras import Extra, StartPlayer, peak_memory, remaining, scaling
from benchmarks.speed.machine import Machine, examine
from benchmarks.speed.plan import PATHS, Allocator, Case, Contestant
from benchmarks.speed.player import Player
from benchmarks.speed.report import write_extras, write_report
from benchmarks.speed.results import Finding, table, write_json

RESULTS = Path(__file__).parents[1] / "results"
CLICKS = ("first_click", "later_click")  # a big model's other paths take minutes
QUICK_ROUNDS = 1
QUICK_POINTS_PER_SIDE = 4


def main() -> None:
    """Measure, print, write."""
    arguments = _arguments()
    device = arguments.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    machine = examine(device, arguments.threads)
    ours = [Contestant("ours", dtype=dtype) for dtype in arguments.dtypes]
    if arguments.compiled:
        ours += [Contestant("ours", dtype=dtype, compiled=True) for dtype in arguments.dtypes]
    points = QUICK_POINTS_PER_SIDE if arguments.quick else arguments.points_per_side
    cases = [
        Case(path, model, points_per_side=points)
        for model in arguments.models
        for path in arguments.paths
        if not arguments.quick or model == "starter" or path in CLICKS
    ]
    rounds = QUICK_ROUNDS if arguments.quick else arguments.rounds
    start = partial(_start, device)
    findings: list[Finding] = []
    stem = f"{machine.device}-quick" if arguments.quick else machine.device
    output = arguments.output / stem
    if arguments.extras:
        extras = _extras(start, arguments, cases, ours)
        write_extras(machine, extras, output.with_name(f"{stem}-extras.md"))
        return
    with contextlib.ExitStack() as stack:
        players = {
            allocator: stack.enter_context(start(allocator, arguments.threads))
            for allocator in ("default", "tuned")
        }
        for case in cases:
            findings += compete(case, ours, players, rounds)
            _write(machine, findings, output)  # a run may be stopped half-way
    print(f"{machine.description}\n\n{table([one.row(machine.device) for one in findings])}")
    tell(f"written to {output}.json and {output}.md")


def _start(device: str, allocator: Allocator, threads: int) -> Player:
    return Player(allocator, device, threads)


def _extras(
    start: StartPlayer,
    arguments: argparse.Namespace,
    cases: Sequence[Case],
    ours: Sequence[Contestant],
) -> list[Extra]:
    """Memory, scaling and where the time goes, of the last of the models."""
    threads, case = arguments.threads, Case("amg", arguments.models[-1])
    with start("tuned", threads) as player:
        return [
            *scaling(player, start, threads, case, ours),
            *remaining(player, case, ours),
            peak_memory(start, threads, cases, ours[0]),
        ]


def _write(machine: Machine, findings: list[Finding], output: Path) -> None:
    rows = [finding.row(machine.device) for finding in findings]
    write_json(rows, output.with_name(f"{output.name}.json"))
    write_report(machine, findings, output.with_name(f"{output.name}.md"))


def _arguments() -> argparse.Namespace:
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="minutes; written beside as -quick")
    parser.add_argument("--models", nargs="+", default=["starter", "vit_b"])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--paths", nargs="+", default=list(PATHS), choices=PATHS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--points-per-side", type=int, default=32, help="of the generator's grid")
    parser.add_argument("--compiled", action="store_true", help="with torch.compile, too")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, default=cores)
    parser.add_argument(
        "--extras", action="store_true", help="memory, scaling and profile instead of the ratios"
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
