"""`grid`: the automatic generator, which asks a grid of points (paper, appendix B)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from sam_backend.sam.automatic.generator import generate
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.sam.device import Priority
from sam_backend.sam.types import Embedding
from sam_backend.semi_automatic.proposers.base import Place, Proposer, Subject
from sam_backend.serving.scanning import ServedScanner
from sam_backend.serving.served_model import ServedModel


class Grid(Proposer):
    """Masks of `sam.automatic`, whose settings are the parameters.

    Where nothing is set, the checkpoint's card says which masks are kept.
    """

    name: ClassVar[str] = "grid"

    def __init__(self, settings: AutomaticSettings) -> None:
        self._settings = settings

    @classmethod
    @override
    def of(cls, parameters: Mapping[str, Any], place: Place) -> Self:
        return cls(AutomaticSettings.of(place.card.automatic, **parameters))

    @property
    @override
    def fingerprint(self) -> str:
        return f"{self.name}-{self._settings.fingerprint}"

    @override
    def propose(self, model: ServedModel, subject: Subject) -> list[MaskRecord]:
        scanner = _OnDevice(model, subject)
        return list(generate(scanner, subject.pixels, self._settings, subject.digest))


class _OnDevice(ServedScanner):
    """Takes the whole image's embedding from the cache, where clicks find it too."""

    def __init__(self, model: ServedModel, subject: Subject) -> None:
        super().__init__(model)
        self._subject = subject

    def embed(self, image: npt.NDArray[np.uint8]) -> Embedding:
        if image.shape == self._subject.pixels.shape:
            return self._model.embed(self._subject.digest, lambda: image, Priority.BACKGROUND)
        return super().embed(image)
