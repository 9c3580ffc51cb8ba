"""Which label a prefilled mask gets: a hook for classifiers. A new one is one file and one line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import RLE
from sam_backend.sam.types import Embedding


@dataclass(frozen=True, slots=True)
class Guess:
    """A label and how sure the classifier is.

    Attributes:
        label: As the project's config stores it.
        confidence: 0 to 1.
    """

    label: str
    confidence: float


class Classifier(Protocol):
    """Names what masks show. Safe under threads."""

    def classify(self, embedding: Embedding, masks: Sequence[RLE]) -> list[Guess | None]:
        """A guess for each mask, in order; None: not sure enough.

        Args:
            embedding: Of the image.
            masks: Of the image's size.
        """
        ...


def classifier_named(name: str, data_dir: Path, project_id: int) -> Classifier:
    """The classifier that a project has set.

    Raises:
        InvalidInputError: The name is unknown, or the project has taught it nothing yet.
    """
    raise InvalidInputError(f"no classifier is named {name!r}; known: none")
