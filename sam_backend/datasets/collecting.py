"""What all readers share: keep what can be used, count what cannot, never stop."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sam_backend.datasets import reasons
from sam_backend.datasets.image_files import ImageFile, examine
from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.segmentations import is_outline, rle_of_segmentation
from sam_backend.datasets.types import Dataset, LabelledImage, LabelledMask
from sam_backend.errors import ImageDecodeError, InvalidInputError
from sam_backend.masks.combining import subtract
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
        more_labels: Further labels of the same mask.
        name: Names it within its image, for people.
        ignore: What should be its void pixels, in the form of a segmentation; anything but run
            lengths and polygons, such as the flag 0 or 1 that some tools write, says nothing.
    """

    segmentation: Any
    label: str | None = None
    annotator: str | None = None
    is_gold: bool = False
    more_labels: tuple[str, ...] = ()
    name: str | None = None
    ignore: Any = None


class Collector:
    """Gathers labelled images and counts what is left out.

    Args:
        min_area_px: Masks with fewer pixels are left out; empty ones always are.
    """

    def __init__(self, min_area_px: int = MIN_AREA_PX) -> None:
        self._min_area_px = min_area_px
        self._images: list[LabelledImage] = []
        self.left_out = LeftOut()

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
            self.left_out.add(reasons.NO_MASKS, name)
            return
        lost = f"{name}, with {len(annotations)} masks"
        try:
            file = examine(path)
        except FileNotFoundError:
            self.left_out.add(reasons.MISSING_IMAGE, lost)
        except ImageDecodeError as error:
            self.left_out.add(reasons.UNREADABLE_IMAGE, f"{lost}: {error}")
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
        found = [
            self._mask(mask, f"{name}, mask {mask.name or number}", file.size, size)
            for number, mask in enumerate(annotations, 1)
        ]
        masks = tuple(mask for mask in found if mask is not None)
        if masks:
            self._images.append(LabelledImage(name, path, file.digest, file.size, masks))
        else:
            self.left_out.add(reasons.NO_MASKS, name)

    def dataset(
        self, name: str, licence: str | None = None, categories: Sequence[str] = ()
    ) -> Dataset:
        """All that was gathered."""
        return Dataset(name, tuple(self._images), self.left_out, licence, tuple(categories))

    def _mask(
        self, annotation: Annotation, name: str, size: tuple[int, int], claimed: tuple[int, int]
    ) -> LabelledMask | None:
        drawn = [annotation.segmentation]
        if isinstance(annotation.ignore, dict | list) and annotation.ignore:
            drawn.append(annotation.ignore)
        if any(map(is_outline, drawn)) and claimed != size:
            self.left_out.add(reasons.OTHER_SIZE, f"{name}: {_sides(claimed)} on {_sides(size)}")
            return None
        try:
            rle, *void = [rle_of_segmentation(one, size) for one in drawn]
        except InvalidInputError as error:
            self.left_out.add(reasons.MALFORMED_MASK, f"{name}: {error}")
            return None
        fault = self._fault(rle, size)
        if fault is not None:
            self.left_out.add(fault, _described(name, fault, rle, size))
            return None
        ignore = void[0] if void and void[0].area_px else None
        if ignore is not None and ignore.size != size:
            told = f"{name}, void pixels: {_sides(ignore.size)} on {_sides(size)}"
            self.left_out.add(reasons.OTHER_SIZE, told)
            return None
        if ignore is not None and subtract(rle, ignore).area_px == 0:
            self.left_out.add(reasons.VOID_MASK, name)
            return None
        return LabelledMask(
            rle,
            annotation.label,
            annotation.annotator,
            annotation.is_gold,
            annotation.more_labels,
            ignore,
        )

    def _fault(self, rle: RLE, size: tuple[int, int]) -> str | None:
        if rle.size != size:
            return reasons.OTHER_SIZE
        if rle.area_px == 0:
            return reasons.EMPTY_MASK
        if rle.area_px < self._min_area_px:
            return reasons.SMALL_MASK
        return None


def _described(name: str, fault: str, rle: RLE, size: tuple[int, int]) -> str:
    if fault == reasons.OTHER_SIZE:
        return f"{name}: {_sides(rle.size)} on {_sides(size)}"
    return f"{name}: {rle.area_px} px" if fault == reasons.SMALL_MASK else name


def _sides(size: tuple[int, int]) -> str:
    height, width = size
    return f"{width} x {height} pixels"
