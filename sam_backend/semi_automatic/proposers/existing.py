"""`existing`: boxes that lie on the task already, drawn or from another model, become masks."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from typing_extensions import override

from sam_backend.errors import InvalidInputError
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.semi_automatic.proposers.base import Place, Proposer, Subject
from sam_backend.semi_automatic.proposers.boxes import boxes_digest, masks_of_boxes
from sam_backend.serving.served_model import ServedModel


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
