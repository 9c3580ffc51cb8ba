"""Labelled squares."""

import numpy as np

from sam_backend.datasets.types import LabelledMask
from sam_backend.masks.rle import encode

SIZE = (100, 140)


def square(
    x: int, y: int, width: int, height: int | None = None, label: str | None = "a"
) -> LabelledMask:
    """A rectangle, from its upper left corner."""
    mask = np.zeros(SIZE, np.bool_)
    mask[y : y + (height or width), x : x + width] = True
    return LabelledMask(encode(mask), label)
