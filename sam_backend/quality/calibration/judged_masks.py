"""Masks of a model whose worth people have shown: what calibration learns from."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

import numpy as np

from sam_backend.sam.automatic.records import MaskRecord

GOOD_IOU = 0.9
"""A mask that has this IoU with what a person submitted needed no correction: the higher of the two
bars that SAM's authors judge their masks by (arXiv 2304.02643, section 5)."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of a mask before anybody looks at it.

    Attributes:
        predicted_iou: The model's estimate; a regression, which may leave 0 to 1.
        stability: 0 to 1.
        log_area: Natural logarithm of the share of the image that it covers.
        off_centre: Distance of its box's centre from the image's, as a share of half the diagonal.
        at_border: 1 if its box touches the image's border, else 0.
    """

    predicted_iou: float
    stability: float
    log_area: float
    off_centre: float
    at_border: float

    @classmethod
    def of(cls, record: MaskRecord) -> Self:
        """Of a proposed mask."""
        height, width = record.rle.size
        x0, y0, x1, y1 = record.box
        off = np.hypot((x0 + x1 + 1) / 2 - width / 2, (y0 + y1 + 1) / 2 - height / 2)
        is_at_border = min(x0, y0) == 0 or x1 == width - 1 or y1 == height - 1
        return cls(
            predicted_iou=record.predicted_iou,
            stability=record.stability,
            log_area=float(np.log(max(1, record.area_px) / (height * width))),
            off_centre=float(off / (np.hypot(height, width) / 2)),
            at_border=float(is_at_border),
        )


@dataclass(frozen=True, slots=True)
class JudgedMask:
    """A mask of a model and what a person has made of it.

    Attributes:
        image: sha256 of the image's bytes, hex.
        traits: What was known before.
        iou: With what the person submitted; 0 if that is gone.
        weight: Inverse of its probability to be shown, that of its image included.
        source: `prefill`, `review` or `gold`.
        at: When it was judged.
        mask_weight: Inverse of its probability to be shown if its image was; a part of `weight`.
    """

    image: str
    traits: Traits
    iou: float
    weight: float
    source: str
    at: datetime
    mask_weight: float = 1.0

    @property
    def is_good(self) -> bool:
        """It needed no correction."""
        return self.iou >= GOOD_IOU
