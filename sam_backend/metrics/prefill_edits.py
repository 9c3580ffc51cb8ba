"""What a person did to prefilled masks: kept, edited, rejected, and what they added."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam_backend.datasets.types import LabelledMask
from sam_backend.metrics.matching import match_masks

EDITED_IOU = 0.5
"""From this IoU on two masks are of one object, as COCO's loosest match."""


@dataclass(frozen=True, slots=True)
class Edits:
    """Objects of one annotation against the prediction that it began with.

    Attributes:
        kept: Not changed in a pixel or in their label.
        edited: Changed, but still the same object.
        relabelled: Number of the edited ones that got another label.
        rejected: Predicted, and gone.
        added: Not predicted.
    """

    kept: int = 0
    edited: int = 0
    relabelled: int = 0
    rejected: int = 0
    added: int = 0

    def __add__(self, other: "Edits") -> "Edits":
        return Edits(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    @property
    def predicted(self) -> int:
        """Objects that the prediction had."""
        return self.kept + self.edited + self.rejected


def compare(predicted: Sequence[LabelledMask], annotated: Sequence[LabelledMask]) -> Edits:
    """Match the masks of a prediction and an annotation (`matching.match_masks`), and count.

    Label Studio gives regions new ids when a prediction becomes an annotation, so only pixels tell
    which is which.

    Args:
        predicted: Regions of the prediction that the annotation was made from.
        annotated: Regions of the annotation.

    Raises:
        InvalidInputError: The masks are not all of one size.
    """
    kept = edited = relabelled = 0
    for match in match_masks(predicted, annotated, EDITED_IOU).matches:
        before, after = predicted[match.truth].rle, annotated[match.found].rle
        is_kept = match.same_label and np.array_equal(before.counts, after.counts)
        kept += is_kept
        edited += not is_kept
        relabelled += not match.same_label
    n_matched = kept + edited
    return Edits(
        kept=kept,
        edited=edited,
        relabelled=relabelled,
        rejected=len(predicted) - n_matched,
        added=len(annotated) - n_matched,
    )
