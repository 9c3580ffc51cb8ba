"""The demo's six images with a checkpoint's masks: one click, three clicks and a box on each."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sam_backend.demo.images import demo_images
from sam_backend.sam.promptable import PromptableModel
from sam_backend.sam.types import Embedding, Prompt


@dataclass(frozen=True, slots=True)
class MainObject:
    """The main object of an image, as somebody would mark it.

    Attributes:
        name: What it is.
        clicks: In it, x and y in pixels: the first at its centre, the others in parts away from it.
        box: Round it, in pixels, x0 y0 x1 y1.
    """

    name: str
    clicks: tuple[tuple[int, int], ...]
    box: tuple[int, int, int, int]


MAIN_OBJECTS = {
    "shapes.png": MainObject(
        "the white shape", ((260, 90), (225, 190), (310, 50)), (172, 0, 345, 238)
    ),
    "chelsea.png": MainObject("the cat", ((190, 150), (80, 230), (300, 40)), (0, 0, 380, 300)),
    "coffee.png": MainObject("the cup", ((285, 130), (220, 230), (380, 110)), (172, 18, 405, 305)),
    "astronaut.png": MainObject(
        "the woman", ((170, 300), (225, 110), (100, 430)), (20, 12, 365, 511)
    ),
    "rocket.jpg": MainObject(
        "the rocket", ((322, 260), (322, 160), (322, 370)), (307, 127, 339, 408)
    ),
    "coins.png": MainObject("a coin", ((335, 43), (320, 35), (350, 55)), (304, 14, 367, 73)),
}
"""Chosen once, by looking at the images alone."""


def draw_demo(segmenter: PromptableModel, png: Path) -> None:
    """Draw what an annotator gets on each of the demo's images.

    Args:
        segmenter: The checkpoint to ask.
        png: The picture to write.
    """
    images = demo_images()
    figure = Figure(figsize=(10, 2.9 * len(images)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(images), 3, squeeze=False)
    for row, (name, content) in zip(axes, images.items(), strict=True):
        pixels = cv2.cvtColor(cv2.imdecode(np.frombuffer(content, np.uint8), 1), cv2.COLOR_BGR2RGB)
        wanted, embedding = MAIN_OBJECTS[name], segmenter.embed(pixels)
        box = np.array(wanted.box, np.float32)
        shown = {
            "1 click": clicked(segmenter, embedding, wanted.clicks[:1]),
            "3 clicks": clicked(segmenter, embedding, wanted.clicks),
            "box": segmenter.predict(embedding, Prompt(box=box))[0].mask,
        }
        for axis, (title, mask) in zip(row, shown.items(), strict=True):
            painted = pixels.copy()
            painted[mask] = painted[mask] // 2 + np.array([255, 40, 40], np.uint8) // 2
            axis.imshow(painted)
            axis.set_title(f"{wanted.name}: {title}")
            axis.axis("off")
            if title == "box":
                x0, y0, x1, y1 = wanted.box
                axis.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], "c-")
            else:
                axis.plot(*zip(*wanted.clicks[: int(title[0])], strict=True), "c+", markersize=10)
    figure.savefig(png, dpi=65)


def clicked(
    segmenter: PromptableModel, embedding: Embedding, clicks: tuple[tuple[int, int], ...]
) -> npt.NDArray[np.bool_]:
    """The mask after clicks on an object, each of which refines the answer before."""
    answer = None
    for n in range(1, len(clicks) + 1):
        xy = np.array(clicks[:n], np.float32)
        before = None if answer is None else answer.logits
        answer = segmenter.predict(embedding, Prompt(xy, np.ones(n, np.bool_), None, before))[0]
    if answer is None:
        raise ValueError("no click, no mask")
    mask: npt.NDArray[np.bool_] = answer.mask
    return mask
