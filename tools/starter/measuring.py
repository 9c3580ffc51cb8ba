"""How good a network is, by the code that serves it; and a picture of what it answers."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sam_backend.datasets.pixels import read_pixels
from sam_backend.datasets.types import Dataset
from sam_backend.errors import InvalidInputError
from sam_backend.masks import rle
from sam_backend.masks.clicks import deepest_point, tight_box
from sam_backend.metrics.interactive import evaluate
from sam_backend.retraining.evaluation import samples
from sam_backend.sam.reference import Sam
from sam_backend.sam.segmenter import Segmenter
from sam_backend.sam.types import Prompt

CLICKS = 3


def figures(
    sam: Sam, datasets: Sequence[Dataset], max_images: int | None = None
) -> dict[str, float]:
    """1-click, 3-click and box mIoU, and the best of three for a click, on each data set.

    Args:
        sam: In eval mode, at its own input size.
        datasets: Held-out ones.
        max_images: Of each, the first ones; None: all.
    """
    segmenter = Segmenter(sam, "starter_lite")
    found: dict[str, float] = {}
    for dataset in datasets:
        few = replace(dataset, images=dataset.images[:max_images])
        card = evaluate(segmenter, samples(few), CLICKS).as_card()
        found |= {f"{dataset.name} {name}": value for name, value in card.items() if "mIoU" in name}
    return found


def draw(sam: Sam, dataset: Dataset, names: Sequence[str], png: Path) -> None:
    """Draw the answers for a click at the centre and for the box of each image's first mask.

    Args:
        sam: In eval mode, at its own input size.
        dataset: That holds the images.
        names: Of the images to draw.
        png: The picture to write.

    Raises:
        InvalidInputError: The data set has no image of a name.
    """
    unknown = set(names) - {image.name for image in dataset}
    if unknown:
        raise InvalidInputError(f"{dataset.name} has no image {sorted(unknown)[0]!r}")
    segmenter = Segmenter(sam, "starter_lite")
    images = [image for image in dataset if image.name in names]
    figure = Figure(figsize=(12, 3.2 * len(images)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(images), 4, squeeze=False)
    for row, image in zip(axes, images, strict=True):
        pixels, truth = read_pixels(image), rle.decode(image.masks[0].rle)
        embedding = segmenter.embed(pixels)
        point = np.array([deepest_point(truth)], np.float32) + np.float32(0.5)
        clicked = segmenter.predict(embedding, Prompt(point, np.ones(1, np.bool_)))
        boxed = segmenter.predict(embedding, Prompt(box=tight_box(truth)))
        shown = {
            "truth": truth,
            "1 click": clicked[0].mask,
            "box": boxed[0].mask,
        }
        for axis, (title, mask) in zip(row, shown.items(), strict=False):
            painted = pixels.copy()
            painted[mask] = painted[mask] // 2 + np.array([255, 40, 40], np.uint8) // 2
            axis.imshow(painted)
            overlap = (mask & truth).sum() / max(1, (mask | truth).sum())
            axis.set_title(f"{title}: IoU {overlap:.2f}")
            axis.plot(*point[0], "c+", markersize=12)
        row[3].imshow(clicked[0].logits, cmap="RdBu", vmin=-8, vmax=8)
        row[3].set_title("logits of the click")
        for axis in row:
            axis.axis("off")
    figure.savefig(png, dpi=70)
