"""What every proposer does; its own file says where its masks come from."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from sam_backend.datasets.types import LabelledMask
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.semi_automatic.exemplars import Exemplar
from sam_backend.serving.served_model import ServedModel
from sam_backend.store.cards import ModelCard


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """An image to propose masks for.

    Attributes:
        digest: sha256 of the file's bytes, hex.
        pixels: RGB, shape (H, W, 3) uint8.
        boxes: Rectangles that lie on it already, shape (N, 4) float64, x0 y0 x1 y1 in pixels.
        box_labels: All labels of each of the boxes; empty if nobody needs them.
        submitted: Masks of the annotations that people have submitted for it.
    """

    digest: str
    pixels: npt.NDArray[np.uint8]
    boxes: npt.NDArray[np.float64]
    box_labels: tuple[tuple[str, ...], ...] = ()
    submitted: tuple[LabelledMask, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.pixels.shape[:2]
        return height, width


def no_exemplars(like: Sequence[str]) -> Sequence[Exemplar]:
    """Return nothing: outside of a project there are no exemplars."""
    return ()


@dataclass(frozen=True, slots=True)
class Place:
    """What a proposer may need to know before it is made.

    Attributes:
        card: Card of the checkpoint.
        data_dir: Where a project's own detectors are.
        project_id: The project; None outside of one.
        labels: Labels that the project's config can show on masks.
        exemplars: Reads masks that people have submitted in the project, given what a project has
            set as `like`; called only by a proposer that needs them.
    """

    card: ModelCard
    data_dir: Path
    project_id: int | None = None
    labels: tuple[str, ...] = ()
    exemplars: Callable[[Sequence[str]], Sequence[Exemplar]] = no_exemplars


class Proposer(ABC):
    """Proposes masks for an image. Safe under threads."""

    name: ClassVar[str]
    """In settings."""

    @classmethod
    @abstractmethod
    def of(cls, parameters: Mapping[str, Any], place: Place) -> Self:
        """Made of the parameters that a project has set.

        Raises:
            InvalidInputError: One is unknown or wrong, or what it needs is not there.
        """

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Tells it from others whose masks may differ; up to 60 characters."""

    def key(self, subject: Subject) -> str:
        """Tells apart masks of one image; up to 128 characters."""
        return self.fingerprint

    @abstractmethod
    def propose(self, model: ServedModel, subject: Subject) -> list[MaskRecord]:
        """Masks of an image, by a model that is leased for it; clicks go first.

        Raises:
            ModelStoreError: There is no model.
            NoExemplarError: People must draw something first.
        """

    def labels(
        self, model: ServedModel, subject: Subject, records: Sequence[MaskRecord]
    ) -> list[tuple[str, ...]]:
        """Labels of some of the masks that `propose` gave, in their order; empty: not known."""
        return [() for _ in records]

    def notes(self, subject: Subject) -> list[str]:
        """What people should know of an image's proposals, as sentences without a full stop."""
        return []

    def check(self) -> None:  # noqa: B027  most proposers need nothing
        """See whether any image can have proposals, before a model is loaded.

        Raises:
            SamBackendError: None can; the message says what to do.
        """


def fingerprint_of(name: str, told: object) -> str:
    """`name` and eight hex digits of what JSON says of `told`."""
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return f"{name}-{digest[:8]}"
