"""`grid`: the automatic generator, which asks a grid of points (paper, appendix B)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from typing_extensions import override

from sam_backend.sam.automatic.generator import generate
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.sam.device import Priority
from sam_backend.semi_automatic.proposers.base import Place, Proposer, Subject
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
        # from the cache, where clicks find it too
        embedding = model.embedding_of(subject.digest, lambda: subject.pixels, Priority.BACKGROUND)
        masks = generate(model, subject.pixels, self._settings, subject.digest, embedding=embedding)
        return list(masks)
