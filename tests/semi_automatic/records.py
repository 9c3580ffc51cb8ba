"""Mask records of simple shapes."""

import numpy as np

from sam_backend.masks.rle import RLE, box, encode
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.semi_automatic.triage import Judged, Outcome

SIZE = (60, 80)


def block(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = SIZE) -> RLE:
    """A rectangle, ends exclusive."""
    mask = np.zeros(size, np.bool_)
    mask[y0:y1, x0:x1] = True
    return encode(mask)


def record(rle: RLE, predicted_iou: float = 0.9, stability: float = 0.95) -> MaskRecord:
    """A record of a mask."""
    height, width = rle.size
    rows, columns = box(rle) or (slice(0, 1), slice(0, 1))
    return MaskRecord(
        rle=rle,
        box=(columns.start, rows.start, columns.stop - 1, rows.stop - 1),
        area_px=rle.area_px,
        predicted_iou=predicted_iou,
        stability=stability,
        point=(1.5, 2.5),
        mask_index=1,
        crop=(0, 0, width, height),
        model_version="model-1+00000000",
        settings="some",
        image_digest="digest",
    )


def judged(rle: RLE, confidence: float = 0.9, outcome: Outcome = Outcome.ACCEPT) -> Judged:
    """A mask that was judged."""
    return Judged(record(rle, confidence), confidence, outcome)
