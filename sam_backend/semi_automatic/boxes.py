"""The rectangles that already lie on a task, for the proposer that makes masks of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.prompts.task_regions import region_kind
from sam_backend.labelstudio.regions.drawn_masks import labels_of, objects_by_id
from sam_backend.labelstudio.regions.rectangle import rectangle_corners
from sam_backend.labelstudio.regions.region import Region, image_size


@dataclass(frozen=True, slots=True, eq=False)
class RegionBoxes:
    """Rectangles of one image, each once.

    Attributes:
        corners: Shape (N, 4) float64, x0 y0 x1 y1 in pixels, within the image.
        labels: For each rectangle all labels that its regions carry, in the order they were chosen.
    """

    corners: npt.NDArray[np.float64]
    labels: tuple[tuple[str, ...], ...]


def region_boxes(regions: Iterable[Region], image_name: str, size: tuple[int, int]) -> RegionBoxes:
    """Upright boxes around the rectangle regions of one image, each once, in their order.

    A region that is damaged, or was drawn on an image of another size, is passed over.

    Args:
        regions: Result items of annotations, drafts and predictions.
        image_name: Name of the image tag.
        size: (height, width) of the image in pixels.
    """
    boxes: dict[tuple[float, ...], dict[str, None]] = {}
    height, width = size
    for items in objects_by_id(regions).values():
        region = next((item for item in items if region_kind(item) == "rectangle"), None)
        if region is None or region.get("to_name") != image_name:
            continue
        try:
            if image_size(region) != size:
                continue
            value = region.get("value")
            corners = rectangle_corners(value if isinstance(value, Mapping) else {}, size)
        except InvalidInputError:
            continue
        low = np.clip(corners.min(axis=0), 0, (width, height))
        high = np.clip(corners.max(axis=0), 0, (width, height))
        if (high > low).all():
            box = tuple(np.concatenate([low, high]).round(2).tolist())
            boxes.setdefault(box, {}).update(dict.fromkeys(labels_of(items)))
    corners = np.array(list(boxes), np.float64).reshape(-1, 4)
    return RegionBoxes(corners, tuple(map(tuple, boxes.values())))
