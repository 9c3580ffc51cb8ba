"""Boxes become masks: each is a prompt, and the answer a record."""

import hashlib

import numpy as np
import numpy.typing as npt

from sam_backend.masks.rle import decode
from sam_backend.masks.types import window
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.sam.device import Priority
from sam_backend.sam.types import Candidate, Prompt
from sam_backend.semi_automatic.proposers.base import Subject
from sam_backend.serving.served_model import ServedModel

_AT_ONCE = 16  # prompts of one piece of work, between which clicks get their turn


def masks_of_boxes(
    model: ServedModel, subject: Subject, boxes: npt.NDArray[np.float64], settings: str
) -> list[MaskRecord]:
    """The mask that each box means, in their order; boxes whose mask is empty have none.

    Args:
        model: Leased for the image.
        subject: The image.
        boxes: Shape (N, 4), x0 y0 x1 y1 in pixels.
        settings: For the records: what made the boxes.
    """
    if len(boxes) == 0:
        return []
    embedding = model.embedding_of(subject.digest, lambda: subject.pixels, Priority.BACKGROUND)
    records: list[MaskRecord] = []
    for start in range(0, len(boxes), _AT_ONCE):
        part = boxes[start : start + _AT_ONCE]
        answers = model.predict(embedding, [_prompt(box) for box in part], 1, Priority.BACKGROUND)
        for box, [best] in zip(part, answers, strict=True):
            record = _record(best, box, subject, model.model_version, settings)
            if record is not None:
                records.append(record)
    return records


def boxes_digest(boxes: npt.NDArray[np.float64]) -> str:
    """Sixteen hex digits that tell boxes apart, to a hundredth of a pixel."""
    return hashlib.sha256(np.round(boxes, 2).astype("<f8").tobytes()).hexdigest()[:16]


def _prompt(box: npt.NDArray[np.float64]) -> Prompt:
    nothing = np.zeros((0, 2), np.float32)
    return Prompt(nothing, np.zeros(0, np.bool_), box=box.astype(np.float32))


def _record(
    best: Candidate,
    box: npt.NDArray[np.float64],
    subject: Subject,
    model_version: str,
    settings: str,
) -> MaskRecord | None:
    where = window(decode(best.rle))
    if where is None:
        return None
    rows, columns = where
    height, width = subject.size
    x0, y0, x1, y1 = box.tolist()
    return MaskRecord(
        rle=best.rle,
        box=(columns.start, rows.start, columns.stop - 1, rows.stop - 1),
        area_px=best.rle.area_px,
        predicted_iou=best.predicted_iou,
        stability=best.stability,
        point=((x0 + x1) / 2, (y0 + y1) / 2),
        mask_index=0,
        crop=(0, 0, width, height),
        model_version=model_version,
        settings=settings,
        image_digest=subject.digest,
    )
