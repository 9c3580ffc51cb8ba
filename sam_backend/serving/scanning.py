"""A served model as the automatic generator wants it; between its pieces clicks get their turn."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from sam_backend.sam.types import Embedding, PointMask
from sam_backend.serving.served_model import ServedModel


class ServedScanner:
    """A `sam.automatic.generator.Scanner`; nothing that it encodes is kept.

    Args:
        model: Leased for the length of its use.
    """

    def __init__(self, model: ServedModel) -> None:
        self._model = model

    @property
    def model_version(self) -> str:
        """Of the model."""
        return self._model.model_version

    def embed(self, image: npt.NDArray[np.uint8]) -> Embedding:
        """Encodes RGB pixels, shape (H, W, 3) uint8."""
        return self._model.encode(image)

    def scan(
        self,
        embedding: Embedding,
        xy: npt.NDArray[np.float64],
        min_predicted_iou: float | None = None,
        min_stability: float | None = None,
        stability_offset: float = 1.0,
    ) -> Iterator[PointMask]:
        """`Segmenter.scan` on the device."""
        return self._model.scan(embedding, xy, min_predicted_iou, min_stability, stability_offset)
