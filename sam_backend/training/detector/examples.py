"""Images and the boxes of their masks, as the detector learns from them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pycocotools import mask as coco_mask

from sam_backend.datasets.pixels import read_pixels
from sam_backend.datasets.types import LabelledImage
from sam_backend.masks.overlap import iou_matrix
from sam_backend.masks.rle import RLE, to_coco
from sam_backend.training.detector.network import to_input

SAME_IOU = 0.8
"""From this IoU on, masks of several annotators are of one object and give one box."""
MIN_SIDE_PX = 2.0

Target = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One image, small enough to learn from.

    Attributes:
        pixels: RGB, shape (H, W, 3) uint8.
        boxes: Shape (N, 4) float32, x0 y0 x1 y1 in its pixels.
    """

    pixels: npt.NDArray[np.uint8]
    boxes: npt.NDArray[np.float32]

    def tensors(self, is_mirrored: bool) -> tuple[torch.Tensor, Target]:
        """As torchvision's detectors take an image and its target."""
        pixels, boxes = self.pixels, self.boxes
        if is_mirrored:
            pixels = np.ascontiguousarray(pixels[:, ::-1])
            boxes = boxes[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1], np.float32)
            boxes[:, [0, 2]] += pixels.shape[1]
        return to_input(torch.from_numpy(pixels)), {
            "boxes": torch.from_numpy(boxes),
            "labels": torch.ones(len(boxes), dtype=torch.int64),
        }


def read_example(image: LabelledImage, side_px: int) -> Example:
    """An image at the size that is learned from.

    Raises:
        ImageDecodeError: The image's file is gone or damaged.
    """
    pixels = read_pixels(image)
    scale = min(1.0, side_px / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    boxes = boxes_of([mask.rle for mask in image.masks]) * scale
    is_wide = (boxes[:, 2:] - boxes[:, :2] >= MIN_SIDE_PX).all(axis=1)
    return Example(small, boxes[is_wide].astype(np.float32))


def boxes_of(masks: Sequence[RLE]) -> npt.NDArray[np.float64]:
    """The boxes of an image's objects, shape (N, 4), x0 y0 x1 y1 in pixels, ends exclusive.

    Where several people drew one object, the first of their masks counts.
    """
    ious = iou_matrix(masks, masks)
    kept: list[int] = []
    for index in range(len(masks)):
        if not any(ious[index, other] >= SAME_IOU for other in kept):
            kept.append(index)
    found = [coco_mask.toBbox(to_coco(masks[index])) for index in kept]
    boxes = np.array(found, np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def batches(
    n_images: int, batch: int, steps: range, seed: int
) -> Iterator[tuple[list[int], list[bool]]]:
    """Which images each step sees, and which of them mirrored; the same from any step on.

    Each image comes once before any comes again.
    """
    for step in steps:
        places = range(step * batch, (step + 1) * batch)
        order = [
            int(np.random.default_rng((seed, place // n_images)).permutation(n_images)[
                place % n_images
            ])
            for place in places
        ]  # fmt: skip
        mirrored = np.random.default_rng((seed, step, 1)).random(batch) < 0.5
        yield order, mirrored.tolist()
