"""A mask as COCO writes it: polygons, plain or compressed run lengths.

Other tools write a polygon without the list around it, run lengths within a list of one, and
whole numbers as `400.0`; all of these are read.
"""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import RLE, from_coco

MIN_POLYGON_NUMBERS = 6
"""Three corners. pycocotools takes two for a box and one for nothing; a line has no area."""


def is_outline(segmentation: Any) -> bool:
    """Whether a segmentation is polygons, whose numbers are pixels of an image of a known size."""
    return isinstance(_unwrapped(segmentation), list)


def rle_of_segmentation(segmentation: Any, size: tuple[int, int]) -> RLE:
    """The run lengths of an annotation's `segmentation`.

    Polygons are filled as pycocotools fills them (`COCO.annToRLE`: `frPyObjects`, then `merge`),
    without those of fewer than three corners.

    Args:
        segmentation: Run lengths `{"size": [H, W], "counts": …}`, or polygons
            `[[x, y, x, y, …], …]` in pixels; also one polygon `[x, y, …]`, or `[run lengths]`.
        size: (height, width) of the image, which polygons need; run lengths keep their own.

    Raises:
        InvalidInputError: It is neither, or damaged.
    """
    segmentation = _unwrapped(segmentation)
    if isinstance(segmentation, dict):
        return from_coco(segmentation)
    if isinstance(segmentation, list) and segmentation:
        return _fill(segmentation, size)
    if segmentation == []:
        raise InvalidInputError("it has no segmentation, only a box")
    raise InvalidInputError(
        f"a segmentation must be run lengths or polygons, not {type(segmentation).__name__}"
    )


def _unwrapped(segmentation: Any) -> Any:
    """Run lengths without a list around them; a flat polygon with one."""
    if not isinstance(segmentation, list) or not segmentation:
        return segmentation
    if len(segmentation) == 1 and isinstance(segmentation[0], dict):
        return segmentation[0]
    is_flat = all(isinstance(n, int | float) and not isinstance(n, bool) for n in segmentation)
    return [segmentation] if is_flat else segmentation


def _fill(polygons: list[Any], size: tuple[int, int]) -> RLE:
    checked = [_check(polygon, size) for polygon in polygons]
    areas = [polygon for polygon in checked if len(polygon) >= MIN_POLYGON_NUMBERS]
    if not areas:
        raise InvalidInputError("no polygon has three corners")
    merged = coco_mask.merge(coco_mask.frPyObjects(areas, *size))
    return from_coco(merged)


def _check(polygon: Any, size: tuple[int, int]) -> list[float]:
    """The polygon's numbers, once pycocotools cannot stumble over them.

    Its C code walks along every edge in memory, so a corner far away would take all of it.
    """
    if not isinstance(polygon, list) or not all(isinstance(n, int | float) for n in polygon):
        raise InvalidInputError("a polygon must be a list of numbers")
    if len(polygon) % 2:
        raise InvalidInputError(f"a polygon of {len(polygon)} numbers is no list of x, y")
    height, width = size
    try:
        corners = np.array(polygon, np.float64).reshape(-1, 2)
    except OverflowError:
        raise InvalidInputError("a polygon's corner lies beyond all numbers") from None
    # One image's width or height outside on either side; NaN fails the comparison.
    is_near = (corners >= (-width, -height)) & (corners <= (2 * width, 2 * height))
    if not is_near.all():
        raise InvalidInputError(f"a polygon's corner lies far outside of {width}x{height} pixels")
    return corners.ravel().tolist()
