"""Small data sets on disk."""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.types import Dataset, LabelledImage, LabelledMask
from sam_backend.masks.rle import encode, to_coco

SIZE = (20, 30)
ORIENTATION = 0x0112


def picture(path: Path, size: tuple[int, int] = SIZE, seed: int = 0, turn: int = 1) -> Path:
    """Writes noise of (height, width) before its EXIF orientation is applied."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    Image.fromarray(noise).save(path, exif=exif)
    return path


def box(
    left: int = 2, top: int = 3, width: int = 6, height: int = 5, size: tuple[int, int] = SIZE
) -> np.ndarray:
    """The mask of a rectangle."""
    mask = np.zeros(size, bool)
    mask[top : top + height, left : left + width] = True
    return mask


def runs(mask: np.ndarray) -> dict[str, object]:
    """A mask as COCO's compressed run lengths."""
    return to_coco(encode(mask))


def image_of(
    number: int, *masks: LabelledMask, size: tuple[int, int] = SIZE, folder: Path = Path("/none")
) -> LabelledImage:
    """An image without a file, one box as its mask unless others are given."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    name = f"{number}.png"
    masks = masks or (LabelledMask(encode(box(size=size))),)
    return LabelledImage(name, folder / name, digest, size, masks)


def dataset_of(*images: LabelledImage) -> Dataset:
    """A set of images that skipped two masks."""
    return Dataset("made", images, LeftOut({"empty mask": 2}), "CC0-1.0")
