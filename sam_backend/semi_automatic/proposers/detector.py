"""`detector`: boxes of a one-class detector prompt SAM (paper, section 4, semi-automatic)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from safetensors.torch import load_file
from typing_extensions import override

from sam_backend.errors import InvalidInputError, unknown_names
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.sam.device import Priority
from sam_backend.semi_automatic.proposers.base import (
    Place,
    Proposer,
    Subject,
    fingerprint_of,
)
from sam_backend.semi_automatic.proposers.boxes import masks_of_boxes
from sam_backend.serving.served_model import ServedModel
from sam_backend.store.detectors import DetectorCard, DetectorStore
from sam_backend.training.detector.network import MAX_BOXES, build
from sam_backend.training.detector.recall import detect

if TYPE_CHECKING:
    from torchvision.models.detection import FasterRCNN

_DEFAULTS: Mapping[str, Any] = {"version": None, "min_score": 0.5, "box_nms": 0.7, "max_boxes": 100}


class Detector(Proposer):
    """A project's own detector.

    Parameters: `version` (the newest without), `min_score` of its boxes (0 to 1), `box_nms`, the
    most IoU of two boxes, and `max_boxes` of an image.
    """

    name: ClassVar[str] = "detector"

    def __init__(self, card: DetectorCard, weights: Path, told: Mapping[str, Any]) -> None:
        self._card = card
        self._weights = weights
        self._told = told
        self._lock = threading.Lock()

    @classmethod
    @override
    def of(cls, parameters: Mapping[str, Any], place: Place) -> Self:
        if unknown := parameters.keys() - _DEFAULTS.keys():
            raise unknown_names("proposer 'detector'", unknown, _DEFAULTS)
        told = {**_DEFAULTS, **parameters}
        for name in ("min_score", "box_nms"):
            if not isinstance(told[name], int | float) or not 0 <= told[name] <= 1:
                raise InvalidInputError(f"{name} must be within 0 and 1, not {told[name]!r}")
        most = told["max_boxes"]
        if not isinstance(most, int) or not 1 <= most <= MAX_BOXES:
            raise InvalidInputError(f"max_boxes must be 1 to {MAX_BOXES}, not {most!r}")
        if place.project_id is None:
            raise InvalidInputError("the proposer 'detector' is of a project, and there is none")
        card, weights = DetectorStore(place.data_dir, place.project_id).get(told["version"])
        return cls(card, weights, told)

    @property
    @override
    def fingerprint(self) -> str:
        told = {name: self._told[name] for name in _DEFAULTS if name != "version"}
        return fingerprint_of(self.name, {**told, "sha256": self._card.sha256})

    @override
    def propose(self, model: ServedModel, subject: Subject) -> list[MaskRecord]:
        from torchvision.ops import nms

        network = self._network(str(model.device))
        boxes, scores = model.run(lambda: detect(network, subject.pixels), Priority.BACKGROUND)
        sure = scores >= self._told["min_score"]
        boxes, scores = boxes[sure], scores[sure]
        apart = nms(torch.from_numpy(boxes), torch.from_numpy(scores), self._told["box_nms"])
        kept = boxes[apart.numpy()[: self._told["max_boxes"]]]
        return masks_of_boxes(model, subject, kept, self.fingerprint)

    def _network(self, device: str) -> FasterRCNN:
        with self._lock:  # read once, however many tasks begin at once
            return _read(self._weights, self._card.network, self._card.side_px, device)


@lru_cache(maxsize=2)
def _read(weights: Path, network: str, side_px: int, device: str) -> FasterRCNN:
    """A detector in memory; proposers are made for each request, its weights are read once."""
    built = build(network, side_px)
    built.load_state_dict(load_file(weights))
    return built.to(device).requires_grad_(requires_grad=False)
