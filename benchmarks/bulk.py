"""Bulk runs against segment_anything's generator in a plain loop, and their memory.

    python -m benchmarks.bulk IMAGES [--count 8] [--rounds 3] [--points-per-side 32]
    python -m benchmarks.bulk --memory 2000

Each side runs in a process of its own, whose time begins when its model has been used once: reading
and decoding, finding masks, writing them. Images are those of a folder; the starter's weights and
its card's thresholds on both sides.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from sam_backend.cli.process_setup import ALLOCATOR_TUNING
from sam_backend.datasets.left_out import LeftOut
from sam_backend.fully_automatic.executors import Machines, executor_named
from sam_backend.fully_automatic.exports import export_sa1b
from sam_backend.fully_automatic.generating import Progress, generate_run, plan_run
from sam_backend.fully_automatic.run_folder import read_run
from sam_backend.masks.overlap import iou_matrix
from sam_backend.masks.rle import RLE, from_coco
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.sam.checkpoints import load
from sam_backend.serving.model_choice import ModelChoice
from sam_backend.settings import Settings
from sam_backend.store.models import open_store
from sam_backend.training.scenes import hard_scene

SIDES = {
    "reference, default allocator": ("reference", {}),
    "reference, tuned allocator": ("reference", ALLOCATOR_TUNING),
    "ours, float32": ("ours", ALLOCATOR_TUNING | {"SAM_BACKEND_PRECISION": "float32"}),
    "ours, bfloat16": ("ours", ALLOCATOR_TUNING | {"SAM_BACKEND_PRECISION": "bfloat16"}),
}
EXACT = "ours, float32"


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    if arguments.side:
        _SIDES[arguments.side](arguments)
    elif arguments.memory:
        _memory(arguments.memory)
    else:
        _compare(arguments)


def _compare(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files = sorted(arguments.images.rglob("*.jpg"))[: arguments.count]
        (folder / "list.txt").write_text("\n".join(str(file.absolute()) for file in files) + "\n")
        spent: dict[str, list[float]] = {name: [] for name in SIDES}
        told: dict[str, dict[str, float]] = {}
        for number in range(arguments.rounds):
            for name in list(SIDES)[:: (1, -1)[number % 2]]:
                side, allocator = SIDES[name]
                told[name] = _run(arguments, side, allocator, folder, folder / name)
                spent[name].append(told[name]["seconds"])
                print(f"round {number + 1}, {name}: {told[name]}", file=sys.stderr)
        worst, counts = _matched(folder / next(iter(SIDES)), folder / EXACT)
    ours_s = statistics.median(spent[EXACT])
    print(f"\n| side | s | images/s | masks/s | seconds over {EXACT} |\n|---|---|---|---|---|")
    for name, seconds in spent.items():
        median_s = statistics.median(seconds)
        masks = told[name]["masks"] / median_s
        print(
            f"| {name} | {median_s:.1f} | {len(files) / median_s:.2f} | {masks:.0f} | "
            f"{median_s / ours_s:.2f} |"
        )
    print(
        f"\n{len(files)} images, device busy {told[EXACT]['busy']:.2f} of ours; masks "
        f"{counts[0]} and {counts[1]}, the least IoU of a mask with its like {worst:.5f}"
    )


def _run(
    arguments: argparse.Namespace, side: str, allocator: dict[str, str], source: Path, out: Path
) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.bulk", str(source), "--side", side]
    command += ["--out", str(out), "--points-per-side", str(arguments.points_per_side)]
    environment = {k: v for k, v in os.environ.items() if k not in ALLOCATOR_TUNING} | allocator
    ended = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def _ours(arguments: argparse.Namespace) -> None:
    settings = Settings()
    for number, name in enumerate(("warm", "run")):  # the first one loads kernels
        out = arguments.out / f"{name}-{time.monotonic_ns()}"
        source = arguments.out / "one.txt" if not number else arguments.images / "list.txt"
        arguments.out.mkdir(parents=True, exist_ok=True)
        if not number:
            source.write_text((arguments.images / "list.txt").read_text().splitlines()[0])
        executor = executor_named("local", settings, Machines())
        points = {"points_per_side": arguments.points_per_side}
        plan = plan_run(settings, str(source), points, 256)
        summary = generate_run(settings, out, plan, executor)
    told = summary.progress
    busy = sum(summary.device_s.values()) / told.elapsed_s
    export_sa1b(read_run(out), arguments.out / "sa1b", LeftOut())
    print(json.dumps({"seconds": told.elapsed_s, "masks": told.masks, "busy": busy}))


def _reference(arguments: argparse.Namespace) -> None:
    from segment_anything import SamAutomaticMaskGenerator

    settings = Settings()
    entry = open_store(settings).to_serve(None)
    sam = load(entry.folder, ModelChoice(settings, open_store(settings)).device).sam
    told = AutomaticSettings.of(entry.card.automatic, points_per_side=arguments.points_per_side)
    generator = SamAutomaticMaskGenerator(
        sam,
        points_per_side=told.points_per_side,
        pred_iou_thresh=told.predicted_iou,
        stability_score_thresh=told.stability,
        stability_score_offset=told.stability_offset,
        box_nms_thresh=told.box_nms,
        min_mask_region_area=told.min_area_px,
        output_mode="coco_rle",
    )
    files = (arguments.images / "list.txt").read_text().split()
    generator.generate(np.zeros((64, 64, 3), np.uint8))
    out = arguments.out / "sa1b"
    out.mkdir(parents=True, exist_ok=True)
    start_s, n_masks = time.monotonic(), 0
    for file in files:
        found = generator.generate(np.array(Image.open(file).convert("RGB")))
        n_masks += len(found)
        (out / f"{Path(file).stem}.json").write_text(json.dumps({"annotations": found}))
    elapsed_s = time.monotonic() - start_s
    print(json.dumps({"seconds": elapsed_s, "masks": n_masks, "busy": 0.0}))


def _matched(reference: Path, ours: Path) -> tuple[float, tuple[int, int]]:
    """The least IoU of a mask of the reference with the nearest of ours, and both counts."""
    theirs = {file.stem: _masks(file) for file in (reference / "sa1b").glob("*.json")}
    found = {file.stem.rpartition("-")[2]: _masks(file) for file in (ours / "sa1b").glob("*.json")}
    worst = min(
        float(iou_matrix(masks, found[stem]).max(axis=1).min())
        for stem, masks in theirs.items()
        if masks
    )
    return worst, (sum(map(len, theirs.values())), sum(map(len, found.values())))


def _masks(file: Path) -> list[RLE]:
    return [from_coco(one["segmentation"]) for one in json.loads(file.read_text())["annotations"]]


def _memory(count: int) -> None:
    """Resident memory while so many small pictures are done."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rng = np.random.default_rng(0)
        for number in range(count):
            picture = Image.fromarray(hard_scene(rng, 128).image)
            picture.save(folder / f"{number:05}.jpg")
        settings = Settings()
        plan = plan_run(settings, str(folder), {"points_per_side": 6}, 256)
        print("| images | resident, MB |\n|---|---|")

        def observe(state: Progress) -> None:
            if state.stage == "finding masks" and state.done % max(1, count // 10) == 0:
                pages = int(Path("/proc/self/statm").read_text().split()[1])
                print(f"| {state.done} | {pages * os.sysconf('SC_PAGE_SIZE') / 1e6:.0f} |")

        executor = executor_named("local", settings, Machines())
        summary = generate_run(settings, folder / "run", plan, executor, observe)
    told = summary.progress
    busy = sum(summary.device_s.values()) / told.elapsed_s
    print(f"\n{told.images_a_second:.1f} images/s, device busy {busy:.2f}")


_SIDES = {"ours": _ours, "reference": _reference}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, nargs="?", help="folder of JPEG files")
    parser.add_argument("--count", type=int, default=8, help="images of it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--points-per-side", type=int, default=32)
    parser.add_argument("--memory", type=int, help="only this: memory over so many pictures")
    parser.add_argument("--side", choices=list(_SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.images is None and arguments.memory is None:
        parser.error("a folder of images, or --memory")
    return arguments


if __name__ == "__main__":
    main()
