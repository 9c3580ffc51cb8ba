"""What a classifier says of a mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sam_backend.masks.rle import RLE
from sam_backend.sam.types import Embedding


@dataclass(frozen=True, slots=True)
class LabelPrediction:
    """A label and how sure the classifier is.

    Attributes:
        label: As the project's config stores it.
        confidence: 0 to 1.
    """

    label: str
    confidence: float


class Classifier(Protocol):
    """Names what masks show. Safe under threads."""

    def classify(
        self, embedding: Embedding, masks: Sequence[RLE], model_version: str
    ) -> list[LabelPrediction | None]:
        """A prediction for each mask, in order; None: not sure enough.

        Args:
            embedding: Embedding of the image.
            masks: Masks of the image's size.
            model_version: Whose embedding it is.

        Raises:
            InvalidInputError: It knows nothing of that model's embeddings.
        """
        ...
