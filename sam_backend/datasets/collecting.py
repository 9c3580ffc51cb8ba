"""What all readers share: keep what can be used, count what cannot, never stop."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sam_backend.datasets import reasons
from sam_backend.datasets.image_files import ImageFile, examine
from sam_backend.datasets.segmentations import rle_of_segmentation
from sam_backend.datasets.types import Dataset, LabelledImage, LabelledMask
from sam_backend.errors import ImageDecodeError, InvalidInputError
from sam_backend.masks.rle import RLE

MIN_AREA_PX = 16
"""Masks under 4 x 4 pixels are slips of the mouse or rests of a conversion, not objects."""


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """A mask as a file holds it, not looked at yet.

    Attributes:
        segmentation: What should be COCO's run lengths or polygons.
        label: What the mask shows.
        annotator: Who drew it.
        is_gold: Marked as trusted.
    """

    segmentation: Any
    label: str | None = None
    annotator: str | None = None
    is_gold: bool = False


class Collector:
    """Gathers labelled images and counts what is left out.

    Args:
        min_area_px: Masks with fewer pixels are left out; empty ones always are.
    """

    def __init__(self, min_area_px: int = MIN_AREA_PX) -> None:
        self._min_area_px = min_area_px
        self._images: list[LabelledImage] = []
        self._skipped: Counter[str] = Counter()

    def skip(self, reason: str, count: int = 1) -> None:
        """Count records that are left out."""
        self._skipped[reason] += count

    def add(
        self,
        name: str,
        path: Path,
        annotations: Sequence[Annotation],
        size: tuple[int, int] | None = None,
    ) -> None:
        """Add an image file with its masks.

        Args:
            name: Names the image in the set.
            path: Its file.
            annotations: Its masks.
            size: (height, width) that the source gives the image, and so its polygons; None if
                it does not tell.
        """
        if not annotations:
            self.skip(reasons.NO_MASKS)
            return
        try:
            file = examine(path)
        except FileNotFoundError:
            self.skip(reasons.MISSING_IMAGE)
        except ImageDecodeError:
            self.skip(reasons.UNREADABLE_IMAGE)
        else:
            self.add_examined(name, path, file, annotations, size or file.size)

    def add_examined(
        self,
        name: str,
        path: Path,
        file: ImageFile,
        annotations: Sequence[Annotation],
        size: tuple[int, int],
    ) -> None:
        """`add` of an image whose digest and size are known."""
        found = [self._mask(mask, file.size, size) for mask in annotations]
        masks = tuple(mask for mask in found if mask is not None)
        if masks:
            self._images.append(LabelledImage(name, path, file.digest, file.size, masks))
        else:
            self.skip(reasons.NO_MASKS)

    def dataset(self, name: str, licence: str | None = None) -> Dataset:
        """All that was gathered."""
        return Dataset(name, tuple(self._images), dict(+self._skipped), licence)

    def _mask(
        self, annotation: Annotation, size: tuple[int, int], claimed: tuple[int, int]
    ) -> LabelledMask | None:
        if isinstance(annotation.segmentation, list) and claimed != size:
            self.skip(reasons.OTHER_SIZE)
            return None
        try:
            rle = rle_of_segmentation(annotation.segmentation, size)
        except InvalidInputError:
            self.skip(reasons.MALFORMED_MASK)
            return None
        fault = self._fault(rle, size)
        if fault is not None:
            self.skip(fault)
            return None
        return LabelledMask(rle, annotation.label, annotation.annotator, annotation.is_gold)

    def _fault(self, rle: RLE, size: tuple[int, int]) -> str | None:
        if rle.size != size:
            return reasons.OTHER_SIZE
        if rle.area_px == 0:
            return reasons.EMPTY_MASK
        if rle.area_px < self._min_area_px:
            return reasons.SMALL_MASK
        return None
