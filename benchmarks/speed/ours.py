"""What this package does on each path."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.speed.clicks import as_text
from benchmarks.speed.networks import Network
from benchmarks.speed.outcome import Outcome, box_of
from sam_backend.labelstudio.config.tags import ControlTag, Label, NamedLabel
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.region import Answer, Region
from sam_backend.sam.automatic.generator import generate
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.sam.postprocess import Frame, MaskShape, shapes
from sam_backend.sam.precision import Precision
from sam_backend.sam.segmenter import Segmenter
from sam_backend.sam.types import Embedding, Prompt

_CONTROL = ControlTag("brush", "image", "brushlabels", "brush", (Label("Object"),))


class Ours:
    """The calls that the server and the bulk commands make.

    Args:
        network: Its own, so that nobody else can change the weights.
        dtype: A `Precision`.
        compiled: With `torch.compile`.
    """

    def __init__(self, network: Network, dtype: str, compiled: bool) -> None:
        self._network = network
        self.segmenter = Segmenter(
            network.sam, network.name, precision=Precision(dtype), compiled=compiled
        )

    def take(self, image: npt.NDArray[np.uint8], points_per_side: int) -> None:
        """Work on an image, RGB, shape (H, W, 3) uint8, and with a grid of so many points."""
        self._image = image
        self._embedding: Embedding | None = None
        self._settings = AutomaticSettings.reference(
            points_per_side=points_per_side, **asdict(self._network.thresholds)
        )

    def embed(self) -> None:
        """Encode the image."""
        self._embedding = self.segmenter.embed(self._image)

    @property
    def is_embedded(self) -> bool:
        """Whether the image has been encoded."""
        return self._embedding is not None

    @property
    def embedding(self) -> Embedding:
        """Of the image, once it is encoded."""
        if self._embedding is None:
            raise RuntimeError("the image is not encoded yet")
        return self._embedding

    def features(self) -> npt.NDArray[np.float32]:
        """The embedding, shape (C, h, w)."""
        return self.embedding.features.astype(np.float32)

    def click(self, prompt: Prompt) -> str:
        """From a prompt to the region's JSON."""
        return as_text(self.region(prompt))

    def region(self, prompt: Prompt) -> list[Region]:
        """The best mask of a prompt as Label Studio takes it."""
        [best] = self.segmenter.predict(self.embedding, prompt, limit=1)
        answer = Answer(_CONTROL, NamedLabel("Object"), best.predicted_iou)
        return codec.encode(best.mask, answer)

    def clicked(self, prompt: Prompt, number: int) -> list[Outcome]:
        """All masks of a prompt, best predicted IoU first."""
        found = self.segmenter.predict(self.embedding, prompt)
        return [
            Outcome(
                key=(number, rank),
                rle=one.rle,
                box=box_of(one.mask),
                predicted_iou=one.predicted_iou,
                logits=one.logits,
            )
            for rank, one in enumerate(found)
        ]

    def shapes(self, logits: torch.Tensor) -> list[MaskShape]:
        """From low-resolution logits, shape (N, L, L), to stability, boxes and run lengths."""
        frame = Frame(
            logits.shape[-1],
            self._network.sam.image_encoder.img_size,
            self.embedding.input_size,
            self.embedding.image_size,
        )
        return shapes(logits, frame)

    def shaped(self, raw: Sequence[MaskShape]) -> list[Outcome]:
        """What `shapes` gave."""
        return [
            Outcome(key=(number,), rle=one.rle, box=_box(one.box), stability=one.stability)
            for number, one in enumerate(raw)
        ]

    def generate(self) -> list[MaskRecord]:
        """All masks of the image."""
        return list(generate(self.segmenter, self._image, self._settings))

    def generated(self, raw: Sequence[MaskRecord]) -> list[Outcome]:
        """What `generate` gave."""
        return [
            Outcome(
                key=(*_box(one.crop), *np.round(one.point, 2).tolist(), one.mask_index),
                rle=one.rle,
                box=_box(one.box),
                predicted_iou=one.predicted_iou,
                stability=one.stability,
            )
            for one in raw
        ]


def _box(numbers: Sequence[float] | npt.NDArray[np.integer]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(number) for number in numbers)
    return (x0, y0, x1, y1)
