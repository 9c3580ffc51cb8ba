"""Regions back to pixels with other code than ours, so that an error of ours cannot cancel out."""

import base64
import io
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from label_studio_sdk.converter.brush import decode_rle
from PIL import Image

Mask = npt.NDArray[np.bool_]


def mask_of(region: dict[str, Any]) -> Mask:
    """The pixels of a brush, polygon, rectangle or bitmask region, shape (H, W) bool."""
    height, width = region["original_height"], region["original_width"]
    value = region["value"]
    if "rle" in value:
        rgba = np.asarray(decode_rle(value["rle"]), np.uint8).reshape(height, width, 4)
        return rgba[..., 3] > 127
    if "imageDataURL" in value:
        data = base64.b64decode(value["imageDataURL"].partition(",")[2])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))[..., 3] > 0
    percent = np.array([width, height]) / 100
    canvas = np.zeros((height, width), np.uint8)
    if "points" in value:
        corners = np.round(np.array(value["points"]) * percent - 0.5).astype(np.int32)
        cv2.fillPoly(canvas, [corners], 1)
        return canvas > 0
    x0, y0 = np.round(np.array([value["x"], value["y"]]) * percent).astype(int)
    x1, y1 = np.round(
        np.array([value["x"] + value["width"], value["y"] + value["height"]]) * percent
    ).astype(int)
    canvas[y0:y1, x0:x1] = 1
    return canvas > 0


def union_of(regions: list[dict[str, Any]]) -> Mask:
    """The pixels of all regions together: a polygon region holds one part of a mask."""
    return np.logical_or.reduce([mask_of(region) for region in regions])


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union of two masks; 1 for two empty ones."""
    union = np.logical_or(a, b).sum()
    return float(np.logical_and(a, b).sum() / union) if union else 1.0


def bounding_box(mask: Mask) -> Mask:
    """The filled bounding box of a mask that is not empty, as a mask."""
    ys, xs = np.nonzero(mask)
    box = np.zeros_like(mask)
    box[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1] = True
    return box
