"""The detector's network: torchvision's Faster R-CNN with the one class "object".

The paper trained "a bounding box detector on all first stage masks using a generic 'object'
category" (arXiv 2304.02643, section 4), a Faster R-CNN. torchvision is imported where a network is
built: it brings torch's compiler, for which no server's start need wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from sam_backend.errors import InvalidInputError

if TYPE_CHECKING:
    from torchvision.models.detection import FasterRCNN

_BUILDERS: Mapping[str, str] = {
    "mobilenet": "fasterrcnn_mobilenet_v3_large_320_fpn",
    "resnet50": "fasterrcnn_resnet50_fpn_v2",
}
NETWORKS = tuple(_BUILDERS)
MAX_BOXES = 300
"""Of one image, before a proposer's own limit."""


def build(network: str, side_px: int) -> FasterRCNN:
    """A network with random weights, in eval mode.

    Args:
        network: `mobilenet` (fast, also without a GPU) or `resnet50`.
        side_px: Images are resized to this long side.

    Raises:
        InvalidInputError: The name or the size is unknown.
    """
    if network not in _BUILDERS:
        raise InvalidInputError(f"no detector is named {network!r}; known: {', '.join(NETWORKS)}")
    if not 32 <= side_px <= 4096:
        raise InvalidInputError(f"a detector's images have a side of 32 to 4096 px, not {side_px}")
    from torchvision.models import detection

    built = getattr(detection, _BUILDERS[network])(
        weights=None,
        weights_backbone=None,
        num_classes=2,  # background and object
        min_size=side_px,
        max_size=side_px,
        box_detections_per_img=MAX_BOXES,
        box_score_thresh=0.0,
        box_batch_size_per_image=128,  # of 512: nothing was lost on drawn pictures, time was won
        rpn_pre_nms_top_n_test=1000,
        rpn_post_nms_top_n_test=1000,
    )
    return built.eval()


def to_input(pixels: torch.Tensor) -> torch.Tensor:
    """RGB, shape (H, W, 3) uint8, as the network takes it: (3, H, W) float32 from 0 to 1."""
    return pixels.permute(2, 0, 1).float() / 255
