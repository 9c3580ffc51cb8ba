"""segment_anything's generator, whose masks also tell which of the three answers they are."""

from dataclasses import dataclass

import numpy as np
import torch
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import Sam
from segment_anything.utils.amg import MaskData

from sam_backend.masks.rle import RLE
from sam_backend.sam.automatic.records import MaskRecord

Key = tuple[tuple[int, ...], tuple[float, ...], int]
"""Crop (x0 y0 x1 y1), point (x y, rounded), which of the three answers."""


@dataclass(frozen=True)
class Found:
    """What is compared of a mask."""

    rle: RLE
    box: tuple[int, ...]
    area_px: int
    predicted_iou: float
    stability: float


class Reference(SamAutomaticMaskGenerator):
    """Notes every predicted IoU: by it a mask is told from the other two of its point."""

    def __init__(self, sam: Sam, **settings: float) -> None:
        super().__init__(sam, output_mode="uncompressed_rle", **settings)
        self._index: dict[tuple[tuple[int, ...], tuple[float, ...], float], int] = {}
        self._answer = self.predictor.predict_torch
        self.predictor.predict_torch = self._noting
        self._points: list[tuple[float, ...]] = []
        self._crop: tuple[int, ...] = ()

    def _process_batch(
        self, points: np.ndarray, im_size: object, crop_box: list[int], orig_size: object
    ) -> MaskData:
        self._crop = tuple(crop_box)
        self._points = [rounded(point) for point in points + np.array(crop_box[:2])]
        return super()._process_batch(points, im_size, crop_box, orig_size)

    def _noting(self, *args: object, **options: object) -> tuple[torch.Tensor, ...]:
        answer = self._answer(*args, **options)
        for point, ious in zip(self._points, answer[1].tolist(), strict=True):
            for index, iou in enumerate(ious):
                self._index[self._crop, point, iou] = index
        return answer

    def found(self, image: np.ndarray) -> dict[Key, Found]:
        """All masks that are not empty."""
        found = {}
        for one in self.generate(image):
            x, y, w, h = one["crop_box"]
            crop, point = (x, y, x + w, y + h), rounded(one["point_coords"][0])
            left, top, width, height = one["bbox"]
            counts = np.array(one["segmentation"]["counts"], np.uint32)
            if one["area"]:
                found[crop, point, self._index[crop, point, one["predicted_iou"]]] = Found(
                    RLE(tuple(one["segmentation"]["size"]), counts),
                    (left, top, left + width, top + height),
                    one["area"],
                    one["predicted_iou"],
                    one["stability_score"],
                )
        return found


def key_of(record: MaskRecord) -> Key:
    return record.crop, rounded(record.point), record.mask_index


def rounded(point: object) -> tuple[float, ...]:
    return tuple(np.round(point, 3).tolist())
