"""`<EllipseLabels>` and `<Ellipse>`: read as prompts, never answered."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.regions.base import Shape
from sam_backend.labelstudio.regions.region import numbers, rotation
from sam_backend.masks.types import Mask

_PIXELS_AT_ONCE = 1 << 20


class Ellipse(Shape):
    """Turned clockwise about its centre, in pixels."""

    kind: ClassVar[str] = "ellipse"

    @override
    def to_mask(self, value: Mapping[str, Any], size: tuple[int, int]) -> Mask:
        height, width = size
        x, y, radius_x, radius_y = numbers(value, "x", "y", "radiusX", "radiusY")
        angle = rotation(value)
        if not radius_x or not radius_y:  # other tools write negative ones
            raise InvalidInputError(f"an ellipse's radii must not be 0: {radius_x}, {radius_y}")
        dx = np.arange(width) + 0.5 - x * width / 100
        sine, cosine = math.sin(angle), math.cos(angle)
        inside: Mask = np.zeros(size, np.bool_)
        n_rows = max(_PIXELS_AT_ONCE // width, 1)
        for top in range(0, height, n_rows):  # not all at once: a pixel takes 32 bytes meanwhile
            rows = np.arange(top, min(top + n_rows, height))
            dy = rows[:, None] + 0.5 - y * height / 100
            along = (dx * cosine + dy * sine) / (radius_x * width / 100)
            across = (dy * cosine - dx * sine) / (radius_y * height / 100)
            inside[rows] = along**2 + across**2 <= 1
        return inside
