"""Pictures of targets, a disc on a disc, of which people here want the inner one only.

The shipped starter takes the whole. A decoder learns in a few dozen steps what people mean, which
makes a retraining testable.
"""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.datasets.types import Dataset, LabelledImage, LabelledMask
from sam_backend.masks.rle import encode

SIZE = (160, 224)


def bullseyes(
    seed: int, whole: bool = False
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """An image (H, W, 3) uint8 with two targets, and their masks (2, H, W) bool.

    Args:
        seed: Of places, sizes and colours.
        whole: The masks are the outer discs, which the shipped starter finds.
    """
    rng = np.random.default_rng([seed, 4711])
    height, width = SIZE
    image = np.full((*SIZE, 3), rng.integers(0, 90, 3), np.uint8)
    masks = np.zeros((2, *SIZE), np.bool_)
    for number, left in enumerate((0, width // 2)):
        radius = int(rng.integers(26, 44))
        x = left + int(rng.integers(radius + 4, width // 2 - radius - 4 + 1))
        y = int(rng.integers(radius + 4, height - radius - 4 + 1))
        outer, inner = rng.integers(110, 180, 3).tolist(), rng.integers(200, 255, 3).tolist()
        cv2.circle(image, (x, y), radius, outer, -1, cv2.LINE_AA)
        cv2.circle(image, (x, y), radius // 2, inner, -1, cv2.LINE_AA)
        rows, columns = np.mgrid[:height, :width]
        wanted = radius if whole else radius // 2
        masks[number] = (columns - x) ** 2 + (rows - y) ** 2 <= wanted**2
    noisy = image + rng.normal(0, 4, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), masks


def png(image: npt.NDArray[np.uint8]) -> bytes:
    """An RGB image as a PNG file."""
    return bytes(cv2.imencode(".png", image[..., ::-1])[1])


def bullseye_dataset(
    folder: Path, seeds: range, whole: bool = False, shuffled: bool = False
) -> Dataset:
    """Such pictures as files in `folder`.

    Args:
        folder: Made if it is missing.
        seeds: One picture each.
        whole: See `bullseyes`.
        shuffled: Each picture has the masks of the next one. Such labels of inner discs still
            teach a size, and better the starter; of whole ones they are worth nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for seed in seeds:
        content = png(bullseyes(seed)[0])
        path = folder / f"{seed}.png"
        path.write_bytes(content)
        masks = bullseyes(seed + 1 if shuffled else seed, whole)[1]
        labelled = tuple(LabelledMask(encode(mask), "target", "1") for mask in masks)
        digest = hashlib.sha256(content).hexdigest()
        images.append(LabelledImage(path.name, path, digest, SIZE, labelled))
    return Dataset("bullseyes", tuple(images))
