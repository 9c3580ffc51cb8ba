"""Where the automatic generator looks: crops of an image, and a grid of points on each.

The arithmetic is that of `segment_anything.utils.amg`, roundings included.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sam_backend.sam.automatic.settings import AutomaticSettings

EDGE_TOLERANCE_PX = 20.0  # `is_box_near_crop_edge`


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of an image that is embedded by itself.

    Attributes:
        x0: First column in the image.
        y0: First row.
        x1: One past the last column.
        y1: One past the last row.
        layer: 0 for the whole image; n for one of 2^n x 2^n crops.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    layer: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x0 y0 x1 y1 in pixels of the image."""
        return self.x0, self.y0, self.x1, self.y1


def crops(image_size: tuple[int, int], settings: AutomaticSettings) -> list[Crop]:
    """The whole image, then the crops of each layer, column by column (`generate_crop_boxes`).

    An image of fewer columns or rows than a layer has crops gets fewer: none is empty.

    Args:
        image_size: (height, width) in pixels.
        settings: Say how many layers, and how far crops overlap.
    """
    height, width = image_size
    found = [Crop(0, 0, width, height, 0)]
    for layer in range(1, settings.crop_layers + 1):
        n = 2**layer
        overlap = int(settings.crop_overlap * min(height, width) * (2 / n))
        crop_w = math.ceil((overlap * (n - 1) + width) / n)
        crop_h = math.ceil((overlap * (n - 1) + height) / n)
        found += [
            Crop(x0, y0, min(x0 + crop_w, width), min(y0 + crop_h, height), layer)
            for x0 in ((crop_w - overlap) * column for column in range(n))
            for y0 in ((crop_h - overlap) * row for row in range(n))
            if x0 < width and y0 < height
        ]
    return found


def point_grid(crop: Crop, points_per_side: int) -> npt.NDArray[np.float64]:
    """Points in the middles of equal cells (`build_point_grid`), row by row.

    Returns:
        Shape (points_per_side², 2), x before y, in pixels of the crop.
    """
    half = 1 / (2 * points_per_side)
    side = np.linspace(half, 1 - half, points_per_side)
    x, y = np.meshgrid(side, side)
    size = np.array([crop.x1 - crop.x0, crop.y1 - crop.y0])
    grid: npt.NDArray[np.float64] = np.stack([x, y], axis=-1).reshape(-1, 2) * size
    return grid


def touches_inner_edge(
    boxes: npt.NDArray[np.int64], crop: Crop, image_size: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Which masks come near an edge of their crop that is no edge of the image.

    Such masks are cut off there, and another crop sees them whole (`is_box_near_crop_edge`).

    Args:
        boxes: Boxes of the masks, shape (N, 4), x0 y0 x1 y1 in pixels of the image.
        crop: That they were found in.
        image_size: (height, width) in pixels.

    Returns:
        Shape (N,).
    """
    image_edges = np.array([0, 0, image_size[1], image_size[0]])
    near_crop = np.abs(boxes - np.array(crop.box)) <= EDGE_TOLERANCE_PX
    near_image = np.abs(boxes - image_edges) <= EDGE_TOLERANCE_PX
    touching: npt.NDArray[np.bool_] = (near_crop & ~near_image).any(axis=1)
    return touching
