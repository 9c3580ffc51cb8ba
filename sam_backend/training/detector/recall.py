"""How many of the objects a detector finds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from sam_backend.datasets.pixels import read_pixels
from sam_backend.datasets.types import LabelledImage
from sam_backend.training.detector.examples import boxes_of
from sam_backend.training.detector.network import to_input

if TYPE_CHECKING:
    from torchvision.models.detection import FasterRCNN


@torch.inference_mode()
def detect(
    network: FasterRCNN, pixels: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Boxes of an image, the surest first.

    Args:
        network: In eval mode.
        pixels: RGB, shape (H, W, 3) uint8.

    Returns:
        Boxes, shape (N, 4) float64, x0 y0 x1 y1 in pixels; and their scores, shape (N,), 0 to 1.
    """
    device = next(network.parameters()).device
    [found] = network([to_input(torch.from_numpy(pixels)).to(device)])
    order = found["scores"].argsort(descending=True, stable=True)
    boxes, scores = found["boxes"][order], found["scores"][order]
    return boxes.double().cpu().numpy(), scores.double().cpu().numpy()


def box_recall(
    network: FasterRCNN, images: Iterable[LabelledImage], n_boxes: int = 100, iou: float = 0.5
) -> float:
    """Share of the objects that one of the first `n_boxes` boxes of their image has found.

    Raises:
        ImageDecodeError: An image's file is gone or damaged.
    """
    from torchvision.ops import box_iou

    n_found = n_objects = 0
    for image in images:
        truth = torch.from_numpy(boxes_of([mask.rle for mask in image.masks]))
        boxes, _ = detect(network, read_pixels(image))
        n_objects += len(truth)
        if len(truth) and len(boxes):
            overlaps = box_iou(truth, torch.from_numpy(boxes[:n_boxes]))
            n_found += int((overlaps.max(dim=1).values >= iou).sum())
    return n_found / n_objects if n_objects else 0.0
