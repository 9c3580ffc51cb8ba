"""Masks of a whole image without a prompt: a grid of points, filters, non-maximum suppression."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import Sam

from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import from_coco
from sam_backend.quality.automatic import Proposal


@dataclass(frozen=True, slots=True)
class AutomaticThresholds:
    """Which of the masks are kept; the defaults are `SamAutomaticMaskGenerator`'s.

    Attributes:
        predicted_iou: Least predicted IoU.
        stability: Least IoU of a mask cut at a logit of -1 and of +1.
        box_nms: Most IoU of two masks' boxes.
        points_per_side: Of the grid.

    Raises:
        InvalidInputError: A threshold is not between 0 and 1, or there is no point.
    """

    predicted_iou: float = 0.88
    stability: float = 0.95
    box_nms: float = 0.7
    points_per_side: int = 32

    def __post_init__(self) -> None:
        for name in ("predicted_iou", "stability", "box_nms"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidInputError(
                    f"{name} must be between 0 and 1, not {getattr(self, name)}"
                )
        if self.points_per_side < 1:
            raise InvalidInputError(
                f"points_per_side must be at least 1, not {self.points_per_side}"
            )


def automatic_masks(
    sam: Sam, image: npt.NDArray[np.uint8], thresholds: AutomaticThresholds
) -> list[Proposal]:
    """Every mask that the network finds on an image, scored by predicted IoU.

    Args:
        sam: In eval mode.
        image: RGB, shape (H, W, 3) uint8.
        thresholds: What is kept.
    """
    generator = SamAutomaticMaskGenerator(
        sam,
        points_per_side=thresholds.points_per_side,
        pred_iou_thresh=thresholds.predicted_iou,
        stability_score_thresh=thresholds.stability,
        box_nms_thresh=thresholds.box_nms,
        output_mode="coco_rle",
    )
    return [
        Proposal(from_coco(found["segmentation"]), float(found["predicted_iou"]))
        for found in generator.generate(image)
    ]
