"""A folder of images beside a folder of mask files, as the click benchmarks are handed out.

A mask file has its image's name but for the suffix, and its image's size:

    images/   masks/         Berkeley, and many others
    data_GT/  boundary_GT/   GrabCut
    img/      gt/            DAVIS, COCO_MVal

What its numbers mean follows from the folder, as in RITM's `isegm/data/datasets`:

- `gt`: all that is not black is the one object.
- else, of grey levels 0, 128 and 255 (or 1) only: one object, with 128 for void pixels.
- else, of other levels or with a palette: each number is an object of its own, 0 is background and
  255 void, as in PASCAL VOC.

Images with the same bytes, of which each has one object's mask, become one image with all masks.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from sam_backend.datasets import reasons
from sam_backend.datasets.collecting import MIN_AREA_PX, Annotation, Collector
from sam_backend.datasets.decoding import decode_levels
from sam_backend.datasets.image_files import read_bytes
from sam_backend.datasets.types import Dataset
from sam_backend.errors import ImageDecodeError, InvalidInputError
from sam_backend.masks.rle import encode, to_coco
from sam_backend.masks.types import Mask

FOLDERS = (("images", "masks"), ("data_GT", "boundary_GT"), ("img", "gt"))
"""Names of the folder of images and of the folder of masks, as the click benchmarks have them."""
OBJECT, VOID = 255, 128
_ONE_OBJECT = {0, 1, VOID, OBJECT}
_NOT_BLACK = "gt"


def has_mask_files(folder: Path) -> bool:
    """Whether a folder has one of `FOLDERS`, both of the pair."""
    return _pair(folder) is not None


def read_mask_files(
    folder: Path, images: Path | None = None, min_area_px: int = MIN_AREA_PX
) -> Dataset:
    """Read the images and mask files of a folder.

    Args:
        folder: That holds one of `FOLDERS`.
        images: Folder of the images where it is another one.
        min_area_px: Masks with fewer pixels are skipped.

    Raises:
        InvalidInputError: The folder holds no such pair.
    """
    pair = _pair(folder)
    if pair is None:
        known = ", ".join(" and ".join(names) for names in FOLDERS)
        raise InvalidInputError(f"{folder} holds no folders of images and masks: {known}")
    beside, masks = pair
    collector = Collector(min_area_px)
    mask_of = {file.stem: file for file in _files(masks)}
    found = _files(images or beside)
    for file in found:
        drawn = _drawn(mask_of[file.stem], collector) if file.stem in mask_of else []
        collector.add(file.name, file, drawn)
    for stem in sorted(mask_of.keys() - {file.stem for file in found}):
        collector.left_out.add(reasons.NO_IMAGE_OF_MASK, mask_of[stem].name)
    return collector.dataset(folder.resolve().name).by_content()


def _pair(folder: Path) -> tuple[Path, Path] | None:
    pairs = ((folder / images, folder / masks) for images, masks in FOLDERS)
    return next((pair for pair in pairs if all(one.is_dir() for one in pair)), None)


def _files(folder: Path) -> list[Path]:
    return sorted(
        file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")
    )


def _drawn(file: Path, collector: Collector) -> list[Annotation]:
    """The objects of a mask file; none if it cannot be used, which the collector is told."""
    try:
        levels = decode_levels(read_bytes(file))
        objects, void = _objects(levels, file.parent.name == _NOT_BLACK)
    except (FileNotFoundError, ImageDecodeError, InvalidInputError) as error:
        collector.left_out.add(reasons.MALFORMED_MASK, f"{file.name}: {error}")
        return []
    ignore = to_coco(encode(void)) if void.any() else None
    return [
        Annotation(to_coco(encode(mask)), name=f"{number} of {file.name}", ignore=ignore)
        for number, mask in enumerate(objects, 1)
    ]


def _objects(
    levels: npt.NDArray[np.int32], is_all_that_is_not_black: bool
) -> tuple[list[Mask], Mask]:
    """The objects of a mask file's numbers, and its void pixels."""
    if is_all_that_is_not_black:
        drawn: Mask = (levels if levels.ndim == 2 else levels.max(axis=2)) > 0
        return [drawn], np.zeros_like(drawn)
    if levels.ndim == 3:
        raise InvalidInputError("it is coloured; save it as grey levels or with a palette")
    found = set(np.unique(levels).tolist())
    if found <= _ONE_OBJECT:
        return [(levels == 1) | (levels == OBJECT)], levels == VOID
    ids = sorted(found - {0, OBJECT})
    if np.count_nonzero(levels == OBJECT) > np.isin(levels, ids).sum():
        raise InvalidInputError(
            f"most of it is {OBJECT}, with {len(ids)} other levels: is its edge blurred? "
            f"Save it with 0, {VOID} (void) and {OBJECT} only"
        )
    return [levels == one for one in ids], levels == OBJECT
