"""`nearest`: a mask gets the label of the labelled masks that look most like it.

What a mask looks like is the image embedding averaged under it. It needs no training beyond looking
once at what people have labelled, and shows how a classifier is written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.errors import InvalidInputError, SamBackendError
from sam_backend.files import replacing
from sam_backend.masks.rle import RLE, decode
from sam_backend.sam.types import Embedding
from sam_backend.semi_automatic.cells import inner_cells
from sam_backend.semi_automatic.label_prediction import LabelPrediction

N_NEIGHBOURS = 5
MIN_SHARE = 0.6
"""Of the neighbours' similarity that the winning label must have."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelBook:
    """What labelled masks look like.

    Attributes:
        model_version: Whose embeddings they are.
        vectors: Shape (N, C) float32, of length 1.
        labels: One for each.
    """

    model_version: str
    vectors: npt.NDArray[np.float32]
    labels: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Write it so that it is there as a whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(
                file,
                model_version=np.array(self.model_version),
                vectors=self.vectors,
                labels=np.array(self.labels, dtype=np.str_),
            )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            SamBackendError: The file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as told:
                return cls(
                    str(told["model_version"]), told["vectors"], tuple(told["labels"].tolist())
                )
        except FileNotFoundError:
            raise InvalidInputError(
                "nobody has taught this project's labels yet: "
                "sam-backend prefill learn-labels --project <number>"
            ) from None
        except (OSError, ValueError, KeyError) as error:
            raise SamBackendError(f"{path} is no book of labels: {error}") from error


class Nearest:
    """The hook's example.

    Args:
        book: What people have labelled.
    """

    def __init__(self, book: LabelBook) -> None:
        self._book = book

    def classify(
        self, embedding: Embedding, masks: Sequence[RLE], model_version: str
    ) -> list[LabelPrediction | None]:
        """See `Classifier`.

        Raises:
            InvalidInputError: The book was taught with another model's embeddings.
        """
        if model_version != self._book.model_version:
            raise InvalidInputError(
                f"the labels were taught with {self._book.model_version}, and {model_version} is "
                "served: sam-backend prefill learn-labels --project <number>"
            )
        return [self._predict(looks(embedding, mask)) for mask in masks]

    def _predict(self, vector: npt.NDArray[np.float32]) -> LabelPrediction | None:
        similar = np.clip(self._book.vectors @ vector, 0, None)
        nearest = np.argsort(-similar)[:N_NEIGHBOURS]
        votes: dict[str, float] = {}
        for index in nearest.tolist():
            label = self._book.labels[index]
            votes[label] = votes.get(label, 0.0) + float(similar[index])
        total = sum(votes.values())
        if total <= 0:
            return None
        best = max(votes, key=lambda label: votes[label])
        share = votes[best] / total
        return LabelPrediction(best, share) if share >= MIN_SHARE else None


def looks(embedding: Embedding, mask: RLE) -> npt.NDArray[np.float32]:
    """The embedding's cells averaged under a mask, centred and of length 1, shape (C,).

    Centred on the image's mean: what all of an image has in common tells no object from another.

    Args:
        embedding: Embedding of the image.
        mask: Mask of the image's size.
    """
    cells = inner_cells(embedding)
    size = cells.shape[:0:-1]
    share = cv2.resize(decode(mask).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    part = cells.reshape(len(cells), -1)
    weights = np.asarray(share, np.float32).ravel()
    total = float(weights.sum())
    mean = part.mean(axis=1)
    vector = (part @ weights / total if total > 0 else mean) - mean
    length = float(np.linalg.norm(vector))
    return np.asarray(vector / length if length > 0 else vector, np.float32)


def learn_book(
    examples: Sequence[tuple[Callable[[], Embedding], Sequence[tuple[RLE, str]]]],
    model_version: str,
    observe: Callable[[int, int], None] = lambda done, of: None,
) -> LabelBook:
    """Look at labelled masks.

    Args:
        examples: Images, each as what encodes it and its masks with their labels.
        model_version: Version of the model that encodes.
        observe: Told images done, of how many.

    Raises:
        InvalidInputError: There is no labelled mask.
    """
    vectors: list[npt.NDArray[np.float32]] = []
    labels: list[str] = []
    for done, (encode, masks) in enumerate(examples, start=1):
        embedding = encode()
        for mask, label in masks:
            vectors.append(looks(embedding, mask))
            labels.append(label)
        observe(done, len(examples))
    if not vectors:
        raise InvalidInputError("there is no labelled mask to learn from")
    return LabelBook(model_version, np.stack(vectors), tuple(labels))
