"""Training examples: an image at the network's size and some of its masks, from any source."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.training.balance import draw_targets
from sam_backend.training.canvas import MIN_AREA_SHARE, Scene

Image = npt.NDArray[np.uint8]
Masks = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One image and the targets asked for on it, as the network sees them.

    Attributes:
        image: RGB, padded to a square at the right and the bottom, shape (S, S, 3) uint8.
        input_size: (height, width) of the image inside the square, in pixels.
        truth: Share of each low-resolution cell that the target covers, shape (P, S/4, S/4)
            float32, 0..1: the boundary keeps its place below the cell size.
    """

    image: Image
    input_size: tuple[int, int]
    truth: npt.NDArray[np.float32]


def cut_to_aspect(scene: Scene, rng: np.random.Generator) -> Scene:
    """Cut a square scene to an aspect ratio as pictures have, 1:2 to 2:1; one in four stays square.

    A network that has seen padding only around photos takes any padded image for a photo.
    """
    height, width = scene.image.shape[:2]
    share = 1.0 if rng.random() < 0.25 else rng.uniform(0.5, 1.0)
    if rng.random() < 0.5:
        kept = max(1, round(height * share))
        start = int(rng.integers(height - kept + 1))
        image, masks = scene.image[start : start + kept], scene.masks[:, start : start + kept]
    else:
        kept = max(1, round(width * share))
        start = int(rng.integers(width - kept + 1))
        image = scene.image[:, start : start + kept]
        masks = scene.masks[:, :, start : start + kept]
    is_visible = masks.mean((1, 2)) >= MIN_AREA_SHARE
    return Scene(image, masks[is_visible]) if is_visible.any() else scene


def augment(scene: Scene, rng: np.random.Generator, min_crop: float = 0.5) -> Scene:
    """Flip, crop and recolour at random; masks that the crop leaves empty stay in, empty."""
    image, masks = scene.image, scene.masks
    h, w = image.shape[:2]
    if rng.random() < 0.6:
        share = rng.uniform(min_crop, 1.0)
        side_h, side_w = int(h * share), int(w * share)
        y, x = int(rng.integers(h - side_h + 1)), int(rng.integers(w - side_w + 1))
        image = image[y : y + side_h, x : x + side_w]
        masks = masks[:, y : y + side_h, x : x + side_w]
    if rng.random() < 0.5:
        image, masks = image[:, ::-1], masks[:, :, ::-1]
    if rng.random() < 0.2:
        image, masks = image.transpose(1, 0, 2), masks.transpose(0, 2, 1)
    return Scene(_recolour(image, rng), masks)


def _recolour(image: Image, rng: np.random.Generator) -> Image:
    """Change gain, offset, gamma and saturation a little, and drop the colour now and then."""
    ramp = np.linspace(0, 1, 256) ** np.exp(rng.normal(0, 0.2))
    gain = rng.normal(1, 0.1) * np.exp(rng.normal(0, 0.08, 3))
    offset = rng.normal(0, 12)
    table = np.clip(ramp[:, None] * gain * 255 + offset, 0, 255).astype(np.uint8)
    shaded: Image = np.asarray(cv2.LUT(np.ascontiguousarray(image), table[None]), np.uint8)
    colourless = rng.random()
    if colourless < 0.25:
        grey = cv2.cvtColor(shaded, cv2.COLOR_RGB2GRAY)[..., None]
        share = 0.0 if colourless < 0.07 else rng.uniform(0.2, 1.0)
        shaded = (shaded * share + grey * (1 - share)).astype(np.uint8)
    return shaded


def prepare(scene: Scene, size: int, n_targets: int, rng: np.random.Generator) -> Example | None:
    """Resize to a longest side of `size`, pad, and draw `n_targets` targets.

    Targets are drawn with a probability that grows with the square root of their area, each once
    before any twice. None if no mask covers at least half of one low-resolution cell.
    """
    h, w = scene.image.shape[:2]
    scale = size / max(h, w)
    new_h, new_w = max(1, round(h * scale)), max(1, round(w * scale))
    area = scene.masks.sum((1, 2)) * scale**2
    usable = np.flatnonzero(area >= 8.0)
    if not len(usable):
        return None
    chosen = usable[draw_targets(area[usable], n_targets, rng)]
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image = np.zeros((size, size, 3), np.uint8)
    source = np.ascontiguousarray(scene.image)
    image[:new_h, :new_w] = cv2.resize(source, (new_w, new_h), interpolation=interpolation)
    truth = np.stack([covered_cells(scene.masks[i], (new_h, new_w), size) for i in chosen])
    solid = (truth >= 0.5).any((1, 2))
    if not solid.any():
        return None
    if not solid.all():
        truth = truth[rng.choice(np.flatnonzero(solid), n_targets)]
    return Example(image, (new_h, new_w), truth)


def covered_cells(
    mask: npt.NDArray[np.bool_], resized: tuple[int, int], size: int
) -> npt.NDArray[np.float32]:
    """Share of each low-resolution cell of the padded square that `mask` covers."""
    square = np.zeros((size, size), np.float32)
    shares = np.ascontiguousarray(mask).astype(np.float32)
    interpolation = cv2.INTER_AREA if resized[0] < mask.shape[0] else cv2.INTER_LINEAR
    square[: resized[0], : resized[1]] = cv2.resize(
        shares, resized[::-1], interpolation=interpolation
    )
    cells: npt.NDArray[np.float32] = square.reshape(size // 4, 4, size // 4, 4).mean((1, 3))
    return cells


def padded_pixels(examples: Sequence[Example]) -> npt.NDArray[np.bool_]:
    """Pixels of each square that are padding, shape (B, S, S)."""
    size = examples[0].image.shape[0]
    padding = np.ones((len(examples), size, size), np.bool_)
    for i, example in enumerate(examples):
        padding[i, : example.input_size[0], : example.input_size[1]] = False
    return padding
