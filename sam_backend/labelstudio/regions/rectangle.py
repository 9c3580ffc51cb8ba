"""`<RectangleLabels>` and `<Rectangle>`: the mask's bounding box, in percent of the image."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from sam_backend.labelstudio.config.tags import TagParameters
from sam_backend.labelstudio.regions.base import Control
from sam_backend.labelstudio.regions.region import numbers, rotation, to_pixels
from sam_backend.masks.polygons import Ring, fill_ring
from sam_backend.masks.types import Mask, window


class Rectangle(Control):
    """The smallest upright box around all parts, from the first pixel's edge to the last's."""

    kind: ClassVar[str] = "rectangle"

    @override
    def to_values(self, mask: Mask, parameters: TagParameters) -> list[dict[str, object]]:
        where = window(mask)
        if where is None:
            return []
        (rows, columns), (height, width) = where, mask.shape
        return [
            {
                "x": columns.start * 100 / width,
                "y": rows.start * 100 / height,
                "width": (columns.stop - columns.start) * 100 / width,
                "height": (rows.stop - rows.start) * 100 / height,
                "rotation": 0,
            }
        ]

    @override
    def to_mask(self, value: Mapping[str, Any], size: tuple[int, int]) -> Mask:
        return fill_ring(rectangle_corners(value, size), size)


def rectangle_corners(value: Mapping[str, Any], size: tuple[int, int]) -> Ring:
    """The four corners of a rectangle region, shape (4, 2) in pixels, x before y.

    Label Studio turns rectangles clockwise about the corner at `x`, `y`, in pixels. Negative sides,
    which other tools write, lead from there to the left or up.

    Args:
        value: The region's `x, y, width, height` in percent; `rotation` in degrees, if any.
        size: (height, width) of the image in pixels.

    Raises:
        InvalidInputError: A number is missing.
    """
    x, y, width, height = numbers(value, "x", "y", "width", "height")
    angle = rotation(value)
    corner = to_pixels(np.array([x, y]), size)
    along = to_pixels(np.array([width, height]), size)
    offsets = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * along
    sine, cosine = math.sin(angle), math.cos(angle)
    corners: Ring = corner + offsets @ np.array([[cosine, sine], [-sine, cosine]])
    return corners
