"""Pictures of targets: four discs on discs, of which people here want the inner ones.

No model knows that beforehand: the shipped one takes the whole target, so that a person has to
correct it click by click until it has been retrained.
"""

import cv2
import numpy as np
import numpy.typing as npt

SIZE = (240, 320)
"""Height and width in pixels."""

Masks = npt.NDArray[np.bool_]


def draw_targets(seed: int) -> tuple[npt.NDArray[np.uint8], Masks]:
    """An RGB image (H, W, 3) and the masks of its four inner discs (4, H, W)."""
    rng = np.random.default_rng([seed, 40717])
    height, width = SIZE
    image = np.full((*SIZE, 3), rng.integers(0, 90, 3), np.uint8)
    masks = np.zeros((4, *SIZE), np.bool_)
    rows, columns = np.mgrid[:height, :width]
    for place, (top, left) in enumerate((y, x) for y in (0, height // 2) for x in (0, width // 2)):
        radius = int(rng.integers(36, 54))
        x = left + int(rng.integers(radius + 3, width // 2 - radius - 2))
        y = top + int(rng.integers(radius + 3, height // 2 - radius - 2))
        outer, inner = rng.integers(110, 180, 3).tolist(), rng.integers(200, 255, 3).tolist()
        cv2.circle(image, (x, y), radius, outer, -1, cv2.LINE_AA)
        cv2.circle(image, (x, y), _inner(radius), inner, -1, cv2.LINE_AA)
        masks[place] = (columns - x) ** 2 + (rows - y) ** 2 <= _inner(radius) ** 2
    noisy = image + rng.normal(0, 4, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), masks


def _inner(radius: int) -> int:
    return round(0.55 * radius)


def png(image: npt.NDArray[np.uint8]) -> bytes:
    """An RGB image as a PNG file."""
    return bytes(cv2.imencode(".png", image[..., ::-1])[1])
