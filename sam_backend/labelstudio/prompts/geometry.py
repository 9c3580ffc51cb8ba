"""Shapes of regions, in percent, to boxes in pixels of the real image."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.prompts.object_prompts import Box
from sam_backend.labelstudio.prompts.task_regions import region_kind
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.polygon import polygon_corners
from sam_backend.labelstudio.regions.rectangle import rectangle_corners
from sam_backend.labelstudio.regions.region import Region, image_size, numbers, rotation, to_pixels
from sam_backend.masks.types import Mask, window

# How far, in percent, a point may lie outside by rounding; it is moved onto the edge.
_TOLERANCE = 0.5

MAX_ASPECT_ERROR = 0.02
_MOST_TIMES_LARGER = 16  # in pixels: four times as wide and high

OUTLINES = ("rectangle", "ellipse", "polygon")
PIXELS = ("brush", "bitmask")


def point_px(value: Mapping[str, Any], size: tuple[int, int]) -> tuple[float, float]:
    """Position of a keypoint in pixels, x before y.

    Args:
        value: The region's value, with x and y in percent.
        size: (height, width) of the real image in pixels.

    Raises:
        InvalidInputError: A coordinate is missing, no finite number, or outside the image.
    """
    x, y = numbers(value, "x", "y")
    if min(x, y) < -_TOLERANCE or max(x, y) > 100 + _TOLERANCE:
        raise InvalidInputError(f"the point at {x:g} %, {y:g} % is outside the image")
    height, width = size
    [[x_px, y_px]] = to_pixels(np.array([[x, y]]), size)
    return float(np.clip(x_px, 0, width - 1)), float(np.clip(y_px, 0, height - 1))


def ellipse_box_px(value: Mapping[str, Any], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Two opposite corners around an ellipse region in pixels, shape (2, 2).

    Its x and y are the centre; it turns clockwise around it.

    Raises:
        InvalidInputError: A number is missing or not finite.
    """
    x, y, radius_x, radius_y = numbers(value, "x", "y", "radiusX", "radiusY")
    angle = rotation(value)
    [centre, [a, b]] = to_pixels(np.array([[x, y], [radius_x, radius_y]]), size)
    cos, sin = math.cos(angle), math.sin(angle)
    reach = np.array([math.hypot(a * cos, b * sin), math.hypot(a * sin, b * cos)])
    return np.array([centre - reach, centre + reach])


def box_around(corners: npt.NDArray[np.float64], region_id: str, size: tuple[int, int]) -> Box:
    """The upright box around corners in pixels, shape (N, 2), cut to the image.

    Raises:
        InvalidInputError: Less than one pixel of it lies in the image, across or down.
    """
    if not np.isfinite(corners).all():
        raise InvalidInputError("the box has a corner beyond all numbers")
    height, width = size
    x0, y0 = np.clip(corners.min(axis=0), 0, [width, height])
    x1, y1 = np.clip(corners.max(axis=0), 0, [width, height])
    if x1 - x0 < 1 or y1 - y0 < 1:
        raise InvalidInputError(
            f"the box of {np.ptp(corners[:, 0]):.2g} x {np.ptp(corners[:, 1]):.2g} px has "
            f"{x1 - x0:.2g} x {y1 - y0:.2g} px inside the image"
        )
    return Box(region_id, float(x0), float(y0), float(x1), float(y1))


def mask_box(mask: Mask, region_id: str) -> Box:
    """The box around a mask's pixels.

    Raises:
        InvalidInputError: The mask has no pixels.
    """
    where = window(mask)
    if where is None:
        raise InvalidInputError(f"the mask of region {region_id!r} has no pixels")
    rows, columns = where
    return Box(region_id, columns.start, rows.start, columns.stop, rows.stop)


def place_shape(region: Region, region_id: str, size: tuple[int, int]) -> Box:
    """The box of a region in pixels of the real image.

    Raises:
        InvalidInputError: The region is damaged, outside the image, or of a type without area.
    """
    kind, value = region_kind(region), region.get("value")
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"its value must be an object, not {value!r:.40}")
    if kind == "rectangle":
        return box_around(rectangle_corners(value, size), region_id, size)
    if kind == "ellipse":
        return box_around(ellipse_box_px(value, size), region_id, size)
    if kind == "polygon":
        return box_around(polygon_corners(value, size), region_id, size)
    if kind in PIXELS:
        return mask_box(drawn_mask(region, size), region_id)
    raise InvalidInputError(f"a region of type {region.get('type')!r:.40} is no prompt")


def drawn_mask(region: Region, size: tuple[int, int]) -> Mask:
    """The pixels of a region on the real image, shape (H, W); decoding takes a while.

    The file may have been replaced by a larger or smaller one since: the region is scaled then.

    Raises:
        InvalidInputError: The region is damaged, or was drawn on an image of another shape, or of
            more pixels than the real one can be thought to have had.
    """
    height, width = image_size(region)
    is_alike = math.isclose(width / height, size[1] / size[0], rel_tol=MAX_ASPECT_ERROR)
    if not is_alike or height * width > _MOST_TIMES_LARGER * size[0] * size[1]:
        raise InvalidInputError(
            f"it was drawn on an image of {width}x{height} pixels, but this one has "
            f"{size[1]}x{size[0]}"
        )
    return _resized(codec.decode(region), size)


def _resized(mask: Mask, size: tuple[int, int]) -> Mask:
    """The mask on an image of another size, nearest pixel."""
    if mask.shape == size:
        return mask
    rows = np.arange(size[0]) * mask.shape[0] // size[0]
    columns = np.arange(size[1]) * mask.shape[1] // size[1]
    resized: Mask = mask[rows[:, np.newaxis], columns]
    return resized
