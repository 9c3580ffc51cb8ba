"""`existing`: boxes that lie on the task already, drawn or from another model, become masks."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from typing_extensions import override

from sam_backend.errors import InvalidInputError
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.semi_automatic.proposers.base import Place, Proposer, Subject
from sam_backend.semi_automatic.proposers.boxes import boxes_digest, masks_of_boxes
from sam_backend.serving.served_model import ServedModel

_SAME_PX = 0.1
"""Centres of boxes are equal as far as that: corners are kept to a hundredth of a pixel."""


class Existing(Proposer):
    """One mask for each box; it has no parameters."""

    name: ClassVar[str] = "existing"

    @classmethod
    @override
    def of(cls, parameters: Mapping[str, Any], place: Place) -> Self:
        if parameters:
            raise InvalidInputError(
                f"proposer 'existing' has no parameters, not {', '.join(sorted(parameters))}"
            )
        return cls()

    @property
    @override
    def fingerprint(self) -> str:
        return self.name

    @override
    def key(self, subject: Subject) -> str:
        return f"{self.name}-{boxes_digest(subject.boxes)}"

    @override
    def propose(self, model: ServedModel, subject: Subject) -> list[MaskRecord]:
        return masks_of_boxes(model, subject, subject.boxes, self.name)

    @override
    def labels(
        self, model: ServedModel, subject: Subject, records: Sequence[MaskRecord]
    ) -> list[tuple[str, ...]]:
        return [_labels_of_its_box(record, subject) for record in records]


def _labels_of_its_box(record: MaskRecord, subject: Subject) -> tuple[str, ...]:
    """All labels of the box that a mask answers."""
    boxes = subject.boxes
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    near = np.flatnonzero(np.abs(centres - record.point).max(axis=1) < _SAME_PX)
    # Boxes in each other may share their centre: the mask is nearest to the edges of its own.
    off = np.abs(boxes[near] - record.box).sum(axis=1)
    return subject.box_labels[int(near[off.argmin()])] if len(near) else ()
