"""The masks of a labelled image as the network's targets, and those that cannot be one."""

import numpy as np
import numpy.typing as npt

from sam_backend.datasets import reasons
from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.types import LabelledImage
from sam_backend.masks import rle
from sam_backend.sam.preprocess import LongestSide
from sam_backend.training.examples import covered_cells

_FULL = 255
_HALF_CELL_PX = 8.0


def min_area_px(image_size: tuple[int, int], side: int) -> float:
    """Half a low-resolution cell in pixels of the image: a smaller mask is no target."""
    return _HALF_CELL_PX * (max(image_size) / side) ** 2


def targets(
    image: LabelledImage, side: int, is_flipped: bool, skipped: LeftOut
) -> npt.NDArray[np.uint8]:
    """The usable masks of an image, as shares of the network's low-resolution cells.

    Args:
        image: Whose masks.
        side: Side of the network's square input in pixels, a multiple of 4.
        is_flipped: Mirror them left to right, as the image is before it is padded.
        skipped: Gets the unusable masks: those that are empty, or cover no cell by half.

    Returns:
        Shares in 1/255, shape (N, side / 4, side / 4).
    """
    resized = LongestSide(side).input_size(image.size)
    kept: list[npt.NDArray[np.uint8]] = []
    for number, labelled in enumerate(image.masks, 1):
        name = f"{image.name}, mask {number}"
        if not labelled.rle.area_px:
            skipped.add(reasons.EMPTY_MASK, name)
            continue
        mask = rle.decode(labelled.rle)
        cells = covered_cells(mask[:, ::-1] if is_flipped else mask, resized, side)
        if cells.max() < 0.5:
            skipped.add(reasons.SMALL_MASK, f"{name}: {labelled.rle.area_px} px")
            continue
        kept.append(np.round(cells * _FULL).astype(np.uint8))
    return np.reshape(kept, (-1, side // 4, side // 4)).astype(np.uint8)


def shares(cells: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What `targets` returned as float32, 0..1."""
    return cells.astype(np.float32) / np.float32(_FULL)
