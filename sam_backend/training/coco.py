"""Photos with masks from a COCO file, such as `bsds500/train.json`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from sam_backend.errors import InvalidInputError
from sam_backend.training.canvas import Scene


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPhoto:
    """A photo and its masks, still compressed.

    Attributes:
        image: RGB, shape (H, W, 3) uint8.
        rles: COCO run lengths, `{"size": [H, W], "counts": ...}`, one a mask.
    """

    image: npt.NDArray[np.uint8]
    rles: tuple[dict[str, Any], ...]

    def scene(self, rng: np.random.Generator | None = None, limit: int | None = None) -> Scene:
        """The photo with its masks, or with `limit` random ones of them."""
        rles = self.rles
        if rng is not None and limit is not None and len(rles) > limit:
            rles = tuple(rles[i] for i in rng.choice(len(rles), limit, replace=False))
        masks = np.moveaxis(coco_mask.decode(list(rles)), 2, 0).astype(np.bool_)
        return Scene(self.image, masks)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPhotos:
    """What a COCO file holds.

    Attributes:
        photos: Photos with at least one usable mask.
        skipped: Masks left out because they are empty or smaller than `min_area_px`.
    """

    photos: tuple[LabelledPhoto, ...]
    skipped: int


def read_photos(file: Path, min_area_px: int = 100) -> LabelledPhotos:
    """Read a COCO file whose photos lie in the folder of the same name beside it.

    Raises:
        InvalidInputError: The file or one of its photos is missing or cannot be read.
    """
    try:
        document = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{file} cannot be read as a COCO file: {error}") from error
    by_image: dict[int, list[dict[str, Any]]] = {}
    skipped = 0
    for annotation in document["annotations"]:
        if annotation["area"] < min_area_px:
            skipped += 1
            continue
        by_image.setdefault(annotation["image_id"], []).append(annotation["segmentation"])
    photos = []
    for record in document["images"]:
        rles = by_image.get(record["id"])
        if not rles:
            continue
        pixels = cv2.imread(str(file.parent / file.stem / record["file_name"]), cv2.IMREAD_COLOR)
        if pixels is None:
            raise InvalidInputError(f"{record['file_name']} of {file} cannot be read as an image")
        rgb = np.ascontiguousarray(pixels[..., ::-1]).astype(np.uint8)
        photos.append(LabelledPhoto(rgb, tuple(rles)))
    return LabelledPhotos(tuple(photos), skipped)
