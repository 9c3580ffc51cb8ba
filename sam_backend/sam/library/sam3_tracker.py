"""The tracker of SAM 3 on images: its points and boxes, without concepts and video."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from sam_backend.errors import ModelStoreError
from sam_backend.sam.library.model import parts_of, renamed
from sam_backend.sam.library.sam2 import Sam2

# from the names in a folder, which are those of the whole SAM 3, to the tracker's own
_NAMES = (
    (r"^tracker_model\.", ""),
    (r"^detector_model\.vision_encoder\.backbone\.", "vision_encoder.backbone."),
    (r"^tracker_neck\.", "vision_encoder.neck."),
)


class Sam3Tracker(Sam2):
    """SAM 3's decoder for points and boxes is SAM 2's, on an image encoder of its own."""

    side: ClassVar[int] = 1008
    mean: ClassVar[tuple[float, float, float]] = (0.5, 0.5, 0.5)
    deviation: ClassVar[tuple[float, float, float]] = (0.5, 0.5, 0.5)
    model_types: ClassVar[tuple[str, ...]] = ("sam3_tracker", "sam3_tracker_video", "sam3_video")
    type_prefix: ClassVar[str] = "sam3_"
    sign: ClassVar[str] = "detector.backbone.vision_backbone.trunk.pos_embed"
    left_out: ClassVar[re.Pattern[str]] = re.compile(
        rf"detector_model\.|(tracker_model\.)?{Sam2.left_out.pattern}"
    )

    @classmethod
    def parts(cls, config: Mapping[str, Any]) -> dict[str, Any]:
        """The tracker's parts; the whole SAM 3 has them in one part of its own."""
        return parts_of(config.get("tracker_config") or config)

    @staticmethod
    def build(config: Mapping[str, Any]) -> nn.Module:
        """The network with fresh weights, as a `config.json` describes it; empty: the default."""
        from transformers import Sam3TrackerConfig, Sam3TrackerModel

        network: nn.Module = Sam3TrackerModel(Sam3TrackerConfig(**Sam3Tracker.parts(config)))
        return network

    @staticmethod
    def config_of(state: Mapping[str, torch.Tensor]) -> Mapping[str, Any]:
        """Refuse Meta's own file.

        Raises:
            ModelStoreError: Always.
        """
        raise ModelStoreError(
            "this is SAM 3 as Meta's own code saves it; give the folder of the transformers "
            "library instead (config.json and model.safetensors of facebook/sam3)"
        )

    @staticmethod
    def library_name(name: str) -> str:
        """What the tracker calls a weight of the whole SAM 3."""
        return renamed(name, _NAMES)
