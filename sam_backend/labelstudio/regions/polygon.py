"""`<PolygonLabels>` and `<Polygon>`: one ring a region, corners in percent of the image."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.config.tags import TagParameters
from sam_backend.labelstudio.regions.base import Control
from sam_backend.labelstudio.regions.region import FURTHEST_PERCENT, to_percent, to_pixels
from sam_backend.masks.polygons import Ring, fill_ring, join_holes, mask_to_polygons
from sam_backend.masks.types import Mask


class Polygon(Control):
    """One region for each part of the mask.

    Label Studio's polygons have no holes, so a hole hangs on its part's ring by a cut of no width:
    the region fills exactly the mask (Label Studio fills by the nonzero rule), but its outline also
    shows the cut.
    """

    kind: ClassVar[str] = "polygon"

    @override
    def to_values(self, mask: Mask, parameters: TagParameters) -> list[dict[str, object]]:
        height, width = mask.shape
        return [
            {"points": to_percent(join_holes(part), (height, width)).tolist(), "closed": True}
            for part in mask_to_polygons(mask, parameters.simplify_px)
        ]

    @override
    def to_mask(self, value: Mapping[str, Any], size: tuple[int, int]) -> Mask:
        return fill_ring(polygon_corners(value, size), size)


def polygon_corners(value: Mapping[str, Any], size: tuple[int, int]) -> Ring:
    """The corners of a polygon region, shape (N, 2) in pixels, x before y.

    Args:
        value: The region's `points` in percent.
        size: (height, width) of the image in pixels.

    Raises:
        InvalidInputError: Fewer than three points, or a coordinate that is no finite number.
    """
    try:
        points = np.array(value.get("points"), dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidInputError("a polygon's points must be pairs of numbers") from error
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
        raise InvalidInputError(
            f"a polygon's points must have shape (N, 2) with N > 2, not {points.shape}"
        )
    if not (np.abs(points) <= FURTHEST_PERCENT).all():
        raise InvalidInputError(
            f"a polygon's points must be percent of the image, not {points.min()} to {points.max()}"
        )
    return to_pixels(points, size)
