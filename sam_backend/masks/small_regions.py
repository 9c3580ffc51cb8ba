"""Specks and small holes of a mask (the paper's appendix B cleans both under 100 px)."""

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.masks.types import Mask, check_mask, window


def remove_specks(mask: Mask, min_area_px: int) -> Mask:
    """The mask without parts smaller than `min_area_px`; its largest part always stays.

    Parts are connected over edges and corners, as in `segment_anything`.
    """
    if min_area_px <= 1 or not check_mask(mask).any():
        return mask
    labels, areas = _components(mask, connectivity=8)
    is_kept = areas >= min_area_px
    is_kept[0] = is_kept[1 + int(areas[1:].argmax())] = True
    if is_kept.all():
        return mask
    is_kept[0] = False
    kept: Mask = is_kept[labels]
    return kept


def fill_holes(mask: Mask, min_area_px: int) -> Mask:
    """The mask with its holes smaller than `min_area_px` filled.

    A hole is background that touches neither the image's edge nor, over an edge, other background.
    """
    if min_area_px <= 1 or not check_mask(mask).any():
        return mask
    labels, areas = _components(np.pad(~mask, 1, constant_values=True), connectivity=4)
    is_filled = areas < min_area_px
    is_filled[[0, labels[0, 0]]] = False
    if not is_filled.any():
        return mask
    filled: Mask = mask | is_filled[labels[1:-1, 1:-1]]
    return filled


def clean(mask: Mask, min_area_px: int) -> Mask:
    """Holes filled, then specks removed: the order of `segment_anything`'s mask generator."""
    where = window(mask)
    if min_area_px <= 1 or where is None:
        return mask
    cleaned = np.zeros_like(mask)
    cleaned[where] = remove_specks(fill_holes(mask[where], min_area_px), min_area_px)
    return cleaned


def clean_as_published(mask: Mask, min_area_px: int) -> Mask:
    """`segment_anything.utils.amg.remove_small_regions`: small holes filled, then specks removed.

    Other than for `fill_holes`, every small piece of background is a hole there: also at the
    image's edge, and pieces that meet at a corner are one.
    """
    where = window(mask)
    if min_area_px <= 1 or where is None:
        return mask
    # A piece of background that leaves the frame has all min_area_px pixels of its width: no hole.
    rows, columns = (
        slice(max(0, side.start - min_area_px), side.stop + min_area_px) for side in where
    )
    part = mask[rows, columns]
    labels, areas = _components(~part, connectivity=8)
    is_on = areas < min_area_px
    is_on[0] = True  # the mask itself
    cleaned = np.zeros_like(mask)
    cleaned[rows, columns] = remove_specks(is_on[labels], min_area_px)
    return cleaned


def _components(
    mask: Mask, connectivity: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Labels, shape (H, W) with 0 outside the mask, and the area of each label in pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=connectivity
    )
    return labels.astype(np.int32, copy=False), stats[:, cv2.CC_STAT_AREA].astype(np.int32)
