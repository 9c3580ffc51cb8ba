"""Masks of a whole image without a prompt: a grid of points, filters, non-maximum suppression."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

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

    They suit SAM's own checkpoints. Predicted IoUs are honest estimates: a smaller network that
    hardly ever reaches 0.88 on photos says so, and its card has thresholds of its own.

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

    @classmethod
    def of(cls, card: Mapping[str, float], **given: float | None) -> Self:
        """Thresholds that a card suggests, except for those that are given.

        Raises:
            InvalidInputError: A name is unknown, or a value out of range.
        """
        told = dict(card) | {name: value for name, value in given.items() if value is not None}
        if unknown := told.keys() - cls.__slots__:
            raise InvalidInputError(f"there is no threshold {', '.join(sorted(unknown))}")
        points = int(told.pop("points_per_side", cls().points_per_side))
        return cls(points_per_side=points, **told)

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
