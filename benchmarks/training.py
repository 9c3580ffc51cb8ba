"""What embedding images once saves: an epoch of decoder training, and with the encoder in the loop.

Trains on procedural scenes through the library's own step, one image a step, the same sessions in
each case; prints one Markdown table of processor seconds (other processes do not count). The
baseline runs the image encoder in every step; with `Depth.FULL` it learns too. Sessions are those
of `retraining_plan`, or a single prompt for each mask.

    python -m benchmarks.training [--families starter vit_b] [--images 4] [--without-full]
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from segment_anything.modeling import Sam

from sam_backend.datasets.image_files import examine
from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.types import LabelledImage, LabelledMask
from sam_backend.masks import rle
from sam_backend.sam.families import family_named
from sam_backend.training.features import EncodedImages, encode_images
from sam_backend.training.freezing import open_to_learning
from sam_backend.training.photos import LabelledImages
from sam_backend.training.plan import Depth, TrainingPlan, retraining_plan
from sam_backend.training.scenes import simple_scene
from sam_backend.training.sources import Source
from sam_backend.training.state import TrainingState
from sam_backend.training.steps import training_step

COLUMNS = (
    "family",
    "sessions",
    "embed once",
    "decoder, embedded",
    "encoder in the loop",
    "ratio",
    "encoder learns too",
    "ratio",
)
SCENE_SIDE_PX = 1024


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    print(
        f"{arguments.images} images, {arguments.targets} masks each, processor seconds an epoch,"
        f" {arguments.threads} thread(s) of {os.cpu_count()} cores, torch {torch.__version__}\n"
    )
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        images = _images(Path(folder), arguments.images)
        for name in arguments.families:
            with_full = not arguments.without_full
            for line in _rows(name, images, Path(folder) / name, arguments.targets, with_full):
                print(line, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", default=["starter"])
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--targets", type=int, default=4, help="masks a step and image")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--without-full", action="store_true", help="spare memory and time")
    return parser.parse_args()


def _images(folder: Path, n_images: int) -> list[LabelledImage]:
    """Scenes on disk, as data sets have them."""
    images = []
    for number in range(n_images):
        scene = simple_scene(np.random.default_rng(number), SCENE_SIDE_PX)
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), np.ascontiguousarray(scene.image[..., ::-1]))
        masks = tuple(LabelledMask(rle.encode(mask)) for mask in scene.masks)
        size = (SCENE_SIDE_PX, SCENE_SIDE_PX)
        images.append(LabelledImage(path.name, path, examine(path).digest, size, masks))
    return images


def _rows(
    family: str,
    images: Sequence[LabelledImage],
    folder: Path,
    n_targets: int,
    with_full: bool,
) -> Iterator[str]:
    """Random weights: what they are worth changes no time."""
    torch.manual_seed(0)
    sam = family_named(family).build()
    whole = retraining_plan(Depth.DECODER, steps=1000)
    phase = replace(whole.phases[0], n_images=1, n_targets=n_targets)
    whole = replace(whole, phases=(phase,), accumulate=1)
    single = replace(whole, max_corrections=0, mask_only_passes=False)
    started = time.process_time()
    encoded = encode_images(sam, images, folder, False, LeftOut(), lambda n_done: True)
    embed_s = time.process_time() - started
    cached = EncodedImages(encoded or [], whole.seed, {})
    pixels = LabelledImages(images, sam.image_encoder.img_size, whole.seed)
    for sessions, plan in (("whole", whole), ("one prompt", single)):
        open_to_learning(sam, Depth.DECODER)
        fast_s = _epoch_s(sam, cached, plan, len(images))
        slow_s = [_epoch_s(sam, pixels, plan, len(images))]
        if with_full:
            open_to_learning(sam, Depth.FULL)
            slow_s.append(_epoch_s(sam, pixels, plan, len(images)))
        cells = [family, sessions, f"{embed_s:.1f}", f"{fast_s:.1f}"]
        for seconds in slow_s:
            cells += [f"{seconds:.1f}", f"{seconds / fast_s:.1f}"]
        yield f"| {' | '.join(cells)} |"


def _epoch_s(sam: Sam, source: Source, plan: TrainingPlan, n_steps: int) -> float:
    """Processor seconds of an epoch, after one step of warming up."""
    state = TrainingState(sam.train(), plan)
    training_step(state, source.batch(0, plan.phases[0]), plan)
    started = time.process_time()
    for step in range(1, n_steps + 1):
        state.step = step
        training_step(state, source.batch(step, plan.phases[0]), plan)
    return time.process_time() - started


if __name__ == "__main__":
    main()
