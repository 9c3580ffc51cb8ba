"""What light and a camera do to a painted scene."""

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.training.textures import Surface, spread


def rounded(pixels: Surface) -> npt.NDArray[np.uint8]:
    """`pixels` as 8-bit values."""
    return np.clip(pixels, 0, 255).astype(np.uint8)


def camera(pixels: Surface, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """What a camera does to a scene: exposure, blur, grain and JPEG artefacts."""
    if rng.random() < 0.5:
        pixels = pixels * np.float32(rng.uniform(0.6, 1.2)) + np.float32(rng.normal(0, 12))
    if rng.random() < 0.35:
        blurred = cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.4, 1.8)))
        pixels = np.asarray(blurred, np.float32)
    if rng.random() < 0.5:
        sigma = np.float32(rng.uniform(1, 14))
        pixels = pixels + rng.standard_normal(pixels.shape, np.float32) * sigma
    image = rounded(pixels)
    if rng.random() < 0.35:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 92))]
        coded = cv2.imencode(".jpg", image, quality)[1]
        image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return image


def light(rng: np.random.Generator, size: tuple[int, int], strength: float) -> Surface:
    """Brightness that changes smoothly over a (height, width) picture, about 1, shape (H, W, 3)."""
    grid = 1 + rng.normal(0, strength, (3, 3)).astype(np.float32)
    field = cv2.resize(grid, size[::-1], interpolation=cv2.INTER_LINEAR)
    return spread(np.maximum(np.asarray(field, np.float32), np.float32(0.15)))
