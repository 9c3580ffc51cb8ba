"""Clicks of an evaluation: side by side over images, one mask at a time, and by `segment_anything`.

    python -m benchmarks.evaluation DATA [--model starter-3] [--images 24] [--threads 2]

All three measure the same masks, some images each in turn, with at most 20 clicks a mask. The
baseline is what published code does: one mask after the other, `SamPredictor.predict` to full-size
masks, distances and IoU over the whole image. Seconds are the processor's, of all threads, and the
clock's. The ratio is the baseline's over ours.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import distance_transform_edt
from segment_anything import SamPredictor

from sam_backend.datasets.reading import read_dataset
from sam_backend.masks.rle import decode
from sam_backend.metrics import interactive
from sam_backend.metrics.clicks import ALWAYS_SPENT, TARGET_IOU
from sam_backend.metrics.interactive import MASKS_AT_ONCE, MAX_CLICKS, Sample
from sam_backend.retraining.evaluation import samples
from sam_backend.sam.checkpoints import load
from sam_backend.sam.promptable import PromptableModel
from sam_backend.settings import Settings
from sam_backend.store.models import open_store

IMAGES_IN_TURN = 12
Side = Callable[[list[Sample]], list[tuple[float, ...]]]
"""Measures samples; returns the IoUs of each mask, click by click."""


@dataclass(slots=True)
class Spent:
    """What a side has used so far."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    clicks: int = 0


def ours(segmenter: PromptableModel, at_once: int) -> Side:
    """`interactive.evaluate`, with so many masks side by side."""

    def measure(part: list[Sample]) -> list[tuple[float, ...]]:
        interactive.MASKS_AT_ONCE = at_once
        return [result.ious for result in interactive.evaluate(segmenter, part).results]

    return measure


def published(predictor: SamPredictor) -> Side:
    """One mask after the other, everything at full size."""

    def measure(part: list[Sample]) -> list[tuple[float, ...]]:
        found = []
        for sample in part:
            predictor.set_image(sample.image)
            for mask in sample.masks:
                truth = decode(interactive.labelled(mask).rle)
                found.append(_session(predictor, truth))
        return found

    return measure


def _session(predictor: SamPredictor, truth: npt.NDArray[np.bool_]) -> tuple[float, ...]:
    answer, logits = np.zeros_like(truth), None
    points: list[tuple[float, float]] = []
    labels: list[int] = []
    is_left = np.ones_like(truth)
    ious: list[float] = []
    for _ in range(MAX_CLICKS):
        depths = [
            distance_transform_edt(np.pad(error, 1))[1:-1, 1:-1] * is_left
            for error in (answer & ~truth, truth & ~answer)
        ]
        label = int(depths[1].max() > depths[0].max())
        if depths[label].max() == 0:
            break
        y, x = np.unravel_index(depths[label].argmax(), truth.shape)
        is_left[y, x] = False
        points.append((x + 0.5, y + 0.5))
        labels.append(label)
        masks, predicted, low = predictor.predict(
            np.array(points), np.array(labels), mask_input=logits, multimask_output=len(points) == 1
        )
        best = int(predicted.argmax())
        answer, logits = masks[best], low[best : best + 1]
        ious.append(float((answer & truth).sum() / (answer | truth).sum()))
        if len(ious) >= ALWAYS_SPENT and ious[-1] >= TARGET_IOU:
            break
    return tuple(ious)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="starter-3")
    parser.add_argument("--images", type=int, default=2 * IMAGES_IN_TURN)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    model = load(open_store(Settings()).get(given.model).folder, torch.device("cpu"))
    segmenter = model.promptable()
    dataset = read_dataset(given.data)
    chosen = list(samples(replace(dataset, images=dataset.images[: given.images])))
    sides = {
        "published way": published(SamPredictor(model.sam)),
        "ours, one mask at a time": ours(segmenter, 1),
        f"ours, {MASKS_AT_ONCE} masks side by side": ours(segmenter, MASKS_AT_ONCE),
    }
    spent = {name: Spent() for name in sides}
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in sides}
    for measure in sides.values():
        measure(chosen[:1])  # compiles, and warms what is kept
    for start in range(0, len(chosen), IMAGES_IN_TURN):
        for name, measure in sides.items():
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            ious = measure(chosen[start : start + IMAGES_IN_TURN])
            spent[name].wall_s += time.perf_counter() - wall_s
            spent[name].cpu_s += time.process_time() - cpu_s
            spent[name].clicks += sum(map(len, ious))
            found[name] += ious
    first = spent["published way"]
    print("| side | s | processor s | clicks | ratio, clock | ratio, processor |")
    print("|---|---|---|---|---|---|")
    for name, one in spent.items():
        ratios = f"{first.wall_s / one.wall_s:.2f} | {first.cpu_s / one.cpu_s:.2f}"
        print(f"| {name} | {one.wall_s:.1f} | {one.cpu_s:.1f} | {one.clicks} | {ratios} |")
    reference, *others = (np.array([ious[0] for ious in all_ious]) for all_ious in found.values())
    differences = [float(np.abs(other - reference).max()) for other in others]
    print(f"\nlargest difference of a first IoU from the published way's: {max(differences):.1e}")


if __name__ == "__main__":
    main()
