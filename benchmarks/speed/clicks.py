"""The photo and the clicks that every side gets."""

import json

import numpy as np
import numpy.typing as npt
import skimage.data
from PIL import Image

from sam_backend.sam.types import Prompt

N_JUDGED = 12
"""Clicks whose masks are compared."""


def photo(size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """scikit-image's coffee cup, RGB, resized to (height, width); its own ratio is 2 to 3."""
    image = Image.fromarray(skimage.data.coffee()).convert("RGB")
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BICUBIC))


def first_click(number: int, size: tuple[int, int]) -> Prompt:
    """A lone click; another one for each number, spread over an image of (height, width)."""
    # steps of the golden ratio and its like never repeat and leave no part out
    share = np.array([[0.5 + 0.618034 * number, 0.5 + 0.754878 * number]]) % 1.0
    xy = (0.05 + 0.9 * share) * (size[1], size[0])
    return Prompt(points=xy.astype(np.float32), labels=np.ones(1, np.bool_))


def later_click(
    number: int, size: tuple[int, int], previous_logits: npt.NDArray[np.float32]
) -> Prompt:
    """The same click and one beside it, with the logits, shape (L, L), of the first answer."""
    first = first_click(number, size)
    width_height = np.array([size[1], size[0]])
    beside = np.clip(first.points + width_height / 20, 0, width_height - 1)
    return Prompt(
        points=np.concatenate([first.points, beside]).astype(np.float32),
        labels=np.ones(2, np.bool_),
        mask_logits=previous_logits,
    )


def as_text(regions: object) -> str:
    """Regions as they go over the wire."""
    return json.dumps(regions)
