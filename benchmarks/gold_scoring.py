"""Scoring answers against gold: 1,000 images with 100 masks each, and what of it takes how long.

    python -m benchmarks.gold_scoring [--images 1000] [--masks 100]

The baseline of the ratio is the same comparison with masks at full size, on a few images.
"""

import argparse
import time

import cv2
import numpy as np

from sam_backend.datasets.types import LabelledMask
from sam_backend.masks.boundary import boundary_iou
from sam_backend.masks.overlap import mask_iou
from sam_backend.masks.rle import decode, encode
from sam_backend.metrics.comparison import Answer, compare_images
from sam_backend.metrics.scorecards import scorecard, scorecards

SIZE = (683, 1024)
BASELINE_IMAGES = 1


def blob(shift: int, seed: int, radius: float) -> LabelledMask:
    """A ragged disc; of one seed two are alike but for the shift."""
    own = np.random.default_rng(seed)
    x, y = own.integers(0, SIZE[1]), own.integers(0, SIZE[0])
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radii = radius * (0.7 + 0.5 * own.random(40))
    outline = np.stack([x + shift + radii * np.cos(angles), y + radii * np.sin(angles)], axis=1)
    mask = np.zeros(SIZE, np.uint8)
    cv2.fillPoly(mask, [outline.astype(np.int32)], 1)
    return LabelledMask(encode(mask.view(np.bool_)), "abc"[seed % 3])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--masks", type=int, default=100)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    truths, answers = [], []
    for number in range(given.images):
        seeds = [(int(rng.integers(1 << 30)), rng.uniform(8, 80)) for _ in range(given.masks)]
        truths.append([blob(0, *one) for one in seeds])
        found = tuple(blob(1, seed, radius + 1) for seed, radius in seeds)
        answers.append(Answer(str(number), "model", found, tuple(rng.random(given.masks))))

    start_s = time.perf_counter()
    images = compare_images(truths, answers)
    compared_s = time.perf_counter()
    card = scorecard("model", images)
    figures_s = time.perf_counter()
    scorecards("model", images)
    end_s = time.perf_counter()

    plain_s = time.perf_counter()
    for truth, answer in zip(truths[:BASELINE_IMAGES], answers[:BASELINE_IMAGES], strict=True):
        wanted, given_masks = ([decode(m.rle) for m in masks] for masks in (truth, answer.masks))
        ious = np.array([[mask_iou(a, b) for b in given_masks] for a in wanted])
        for row, column in enumerate(ious.argmax(axis=1)):
            boundary_iou(wanted[row], given_masks[column])
    plain_s = (time.perf_counter() - plain_s) / BASELINE_IMAGES * given.images

    n_pairs = sum(len(image.objects) for image in images)
    print(f"{given.images} images, {n_pairs} objects, matched IoU {card.value('matched IoU'):.3f}")
    for name, seconds in (
        ("matching, IoU, boundary IoU", compared_s - start_s),
        ("figures with intervals", figures_s - compared_s),
        ("these, by label, AP and AR", end_s - figures_s),
        ("all that `gold score` does", compared_s - start_s + end_s - figures_s),
    ):
        print(f"{name:30} {seconds:7.1f} s")
    print(
        f"{'matching at full size, told by one image':30} {plain_s:.0f} s, "
        f"{plain_s / (compared_s - start_s):.0f} times"
    )


if __name__ == "__main__":
    main()
