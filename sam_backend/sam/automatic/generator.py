"""Every mask of an image, without a prompt: the recipe of the paper's appendix B.

With `AutomaticSettings.reference()` the masks are those of
`segment_anything.SamAutomaticMaskGenerator`, except that an empty mask is never kept (there it is
where `stability_score_thresh` is 0).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from sam_backend.masks.rle import decode, encode, place
from sam_backend.masks.small_regions import clean_as_published
from sam_backend.masks.types import Mask, window
from sam_backend.sam.automatic.coarse_to_fine import covered, levels
from sam_backend.sam.automatic.grids import Crop, crops, point_grid, touches_inner_edge
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.sam.types import Embedding, PointMask, ScanThresholds


class Scanner(Protocol):
    """A model that the generator can ask: a `PromptableModel`, or a `ServedModel` of the server."""

    @property
    def model_version(self) -> str:
        """Names the checkpoint and what shapes its answers."""

    def embed(self, image: npt.NDArray[np.uint8]) -> Embedding:
        """Encodes RGB pixels, shape (H, W, 3) uint8."""

    def scan(
        self,
        embedding: Embedding,
        xy: npt.NDArray[np.float64],
        thresholds: ScanThresholds,
    ) -> Iterator[PointMask]:
        """Three masks for each click, shape (N, 2), but those that a threshold leaves out."""


@dataclass(frozen=True, slots=True)
class CropScan:
    """What became of one crop; for progress.

    Attributes:
        done: Crops until now.
        of: Crops in all.
        points: Points of the grid.
        skipped: Points that were not asked, for a kept mask covers them; 0 on the exact path.
        masks: Kept in this crop; masks of other crops may still take their place.
    """

    done: int
    of: int
    points: int
    skipped: int
    masks: int


def generate(
    segmenter: Scanner,
    image: npt.NDArray[np.uint8],
    settings: AutomaticSettings,
    image_digest: str | None = None,
    tell: Callable[[CropScan], None] | None = None,
    embedding: Embedding | None = None,
) -> Iterator[MaskRecord]:
    """Find the masks of an image, one at a time.

    Masks are held as run lengths until all crops are done; only one is ever decoded.

    Args:
        segmenter: The model that is asked.
        image: RGB, shape (H, W, 3) uint8.
        settings: What is looked for and kept.
        image_digest: sha256 of the image file, hex, written into each record; None: unknown.
        tell: Called after each crop.
        embedding: Embedding of the whole image by this model; None: the image is encoded here.

    Raises:
        InvalidInputError: The array is no RGB image.
    """
    image_size = (image.shape[0], image.shape[1])
    parts = crops(image_size, settings)
    records: list[MaskRecord] = []
    for done, crop in enumerate(parts, start=1):
        grid = point_grid(crop, settings.points_of_layer(crop.layer))
        of_crop = embedding if crop.layer == 0 else None
        if of_crop is None:
            x0, y0, x1, y1 = crop.box
            of_crop = segmenter.embed(np.ascontiguousarray(image[y0:y1, x0:x1]))
        found, skipped = _scan_crop(segmenter, of_crop, image_size, crop, grid, settings)
        best = best_of_each(
            _boxes([mask.box for mask in found]),
            np.array([mask.predicted_iou for mask in found]),
            settings.box_nms,
        )
        records += [
            _record(found[i], grid, crop, image_size, segmenter, settings, image_digest)
            for i in best
        ]
        if tell:
            tell(CropScan(done, len(parts), len(grid), skipped, len(best)))
    if len(parts) > 1:
        records = _most_zoomed(records, settings.crop_nms)
    if settings.min_area_px:
        records = _cleaned(records, settings)
    yield from records


def _scan_crop(
    segmenter: Scanner,
    embedding: Embedding,
    image_size: tuple[int, int],
    crop: Crop,
    grid: npt.NDArray[np.float64],
    settings: AutomaticSettings,
) -> tuple[list[PointMask], int]:
    """Masks that pass every filter, in the order of the grid, and the number of skipped points.

    Pixels are the crop's own.
    """
    x0, y0, x1, y1 = crop.box
    thresholds = ScanThresholds(
        # segment_anything applies no filter where the threshold is 0
        min_predicted_iou=settings.predicted_iou or None,
        min_stability=settings.stability or None,
        stability_offset=settings.stability_offset,
    )
    cover_px = settings.coarse_cover * (x1 - x0) * (y1 - y0)
    found: list[PointMask] = []
    skipped = 0
    for level in levels(settings.points_of_layer(crop.layer), settings.coarse_step):
        small = [mask.rle for mask in found if mask.area_px <= cover_px]
        is_covered = covered(grid[level], small)
        skipped += int(is_covered.sum())
        asked = level[~is_covered]
        masks = segmenter.scan(embedding, grid[asked], thresholds)
        passed = _passed(list(masks), crop, image_size, settings)
        found += [replace(mask, point=int(asked[mask.point])) for mask in passed]
    return sorted(found, key=lambda mask: (mask.point, mask.mask_index)), skipped


def _passed(
    masks: list[PointMask], crop: Crop, image_size: tuple[int, int], settings: AutomaticSettings
) -> list[PointMask]:
    """Masks with a pixel that are not cut off by their crop, nor all but the whole image."""
    boxes = _boxes([mask.box for mask in masks]) + np.array(crop.box[:2] * 2)
    is_cut = touches_inner_edge(boxes, crop, image_size)
    share = settings.max_image_share
    limit_px = math.inf if share is None else share * image_size[0] * image_size[1]
    return [
        mask
        for mask, cut in zip(masks, is_cut, strict=True)
        if not cut and 0 < mask.area_px < limit_px
    ]


def _record(
    mask: PointMask,
    grid: npt.NDArray[np.float64],
    crop: Crop,
    image_size: tuple[int, int],
    segmenter: Scanner,
    settings: AutomaticSettings,
    image_digest: str | None,
) -> MaskRecord:
    """A crop's mask in the whole image."""
    x, y = grid[mask.point].tolist()
    left, top, right, bottom = mask.box.tolist()
    return MaskRecord(
        rle=place(mask.rle, (crop.x0, crop.y0), image_size),
        box=(left + crop.x0, top + crop.y0, right + crop.x0, bottom + crop.y0),
        area_px=mask.area_px,
        predicted_iou=mask.predicted_iou,
        stability=mask.stability,
        point=(x + crop.x0, y + crop.y0),
        mask_index=mask.mask_index,
        crop=crop.box,
        model_version=segmenter.model_version,
        settings=settings.fingerprint,
        image_digest=image_digest,
    )


def _most_zoomed(records: list[MaskRecord], max_iou: float) -> list[MaskRecord]:
    """Of masks from several crops that all but coincide, the one of the smallest crop."""
    scores = [1 / ((x1 - x0) * (y1 - y0)) for x0, y0, x1, y1 in (r.crop for r in records)]
    best = best_of_each(_boxes([r.box for r in records]), np.array(scores), max_iou)
    return [records[i] for i in best]


def _cleaned(records: list[MaskRecord], settings: AutomaticSettings) -> list[MaskRecord]:
    """Without specks and holes; where that makes masks alike, those that had none stay.

    As `SamAutomaticMaskGenerator.postprocess_small_regions`, for which a mask smaller than a speck
    has been changed, too.
    """
    cleaned, is_untouched = [], []
    for record in records:
        before = decode(record.rle)
        mask = clean_as_published(before, settings.min_area_px)
        is_same = np.array_equal(mask, before)
        cleaned.append(record if is_same else _with_mask(record, mask))
        is_untouched.append(float(is_same and record.area_px >= settings.min_area_px))
    max_iou = max(settings.box_nms, settings.crop_nms)
    best = best_of_each(_boxes([r.box for r in cleaned]), np.array(is_untouched), max_iou)
    return [cleaned[i] for i in best]


def _with_mask(record: MaskRecord, mask: Mask) -> MaskRecord:
    rle = encode(mask)
    rows, columns = window(mask) or (slice(0, 1), slice(0, 1))
    box = (columns.start, rows.start, columns.stop - 1, rows.stop - 1)
    return replace(record, rle=rle, box=box, area_px=rle.area_px)


def _boxes(boxes: Sequence[npt.ArrayLike]) -> npt.NDArray[np.int64]:
    return np.array(boxes, np.int64).reshape(-1, 4)


def best_of_each(
    boxes: npt.NDArray[np.int64], scores: npt.NDArray[np.floating], max_iou: float
) -> list[int]:
    """Non-maximum suppression: boxes that no better box overlaps by more than `max_iou`.

    The very call of `segment_anything`, in single precision as there: equal scores are settled
    alike, by position.

    Args:
        boxes: Shape (N, 4), x0 y0 x1 y1 in pixels.
        scores: Shape (N,), the higher the better.
        max_iou: Largest IoU of two boxes that stay.

    Returns:
        Indexes of the boxes that stay, best score first.
    """
    # Not at the top: it brings torch's compiler, for which no server's start need wait.
    from torchvision.ops import batched_nms

    one_category = torch.zeros(len(boxes))
    kept = batched_nms(
        torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.as_tensor(scores, dtype=torch.float32),
        one_category,
        max_iou,
    )
    indexes: list[int] = kept.tolist()
    return indexes
