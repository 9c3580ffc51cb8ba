"""Random surfaces: what fills the background and the objects of a procedural scene."""

from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

Photo = npt.NDArray[np.uint8]
Surface = npt.NDArray[np.float32]


class Photos(Protocol):
    """A list of photos, or what decodes them when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Photo: ...


def random_colour(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """An RGB colour, 0..255, shape (3,); a third of them are greys."""
    if rng.random() < 0.33:
        return np.full(3, rng.uniform(5, 250), np.float32)
    return rng.uniform(0, 255, 3).astype(np.float32)


def spread(field: npt.NDArray[np.float32]) -> Surface:
    """A (H, W) field as three equal channels; numpy is slow where the last axis has length 3."""
    return np.asarray(cv2.merge([field, field, field]), np.float32)


def tinted(
    field: npt.NDArray[np.float32],
    colour: npt.NDArray[np.float32],
    change: npt.NDArray[np.float32],
) -> Surface:
    """`colour` plus `field` (H, W) times `change` in each channel, shape (H, W, 3)."""
    channels = [field * d + c for c, d in zip(colour, change, strict=True)]
    return np.asarray(cv2.merge(channels), np.float32)


def plain(colour: npt.NDArray[np.float32], size: tuple[int, int]) -> Surface:
    """One colour everywhere, shape (H, W, 3)."""
    return np.broadcast_to(colour, (*size, 3)).astype(np.float32)


def gradient(
    rng: np.random.Generator, colour: npt.NDArray[np.float32], size: tuple[int, int]
) -> Surface:
    """A linear change of brightness and tint in a random direction."""
    h, w = size
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.linspace(-1, 1, w, dtype=np.float32) * np.float32(np.cos(angle))
    ramp = ramp[None, :] + np.linspace(-1, 1, h, dtype=np.float32)[:, None] * np.float32(
        np.sin(angle)
    )
    change = rng.normal(0, 30, 3).astype(np.float32) + np.float32(rng.normal(0, 30))
    return tinted(ramp, colour, change)


def noise(
    rng: np.random.Generator, colour: npt.NDArray[np.float32], size: tuple[int, int]
) -> Surface:
    """Smooth random clouds or grain: a small random grid, enlarged."""
    h, w = size
    cell_px = np.exp(rng.uniform(np.log(2), np.log(96)))
    tint = 3 if rng.random() < 0.5 else 1
    grid_size = (int(h / cell_px) + 2, int(w / cell_px) + 2, tint)
    grid = rng.standard_normal(grid_size, np.float32)
    field = cv2.resize(grid, (w, h), interpolation=cv2.INTER_LINEAR).reshape(h, w, tint)
    return colour + field * np.float32(rng.uniform(4, 40))


def stripes(
    rng: np.random.Generator, colour: npt.NDArray[np.float32], size: tuple[int, int]
) -> Surface:
    """Stripes, or checks of two sets of stripes."""
    h, w = size
    other = colour + rng.normal(0, 45, 3).astype(np.float32)
    period = np.exp(rng.uniform(np.log(5), np.log(60)))
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[:h, :w].astype(np.float32)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / period))
    if rng.random() < 0.4:
        wave = wave * np.sin((x * -np.sin(angle) + y * np.cos(angle)) * (2 * np.pi / period))
    share = np.clip(wave * 4 + 0.5, 0, 1).astype(np.float32)
    channels = [a * (1 - share) + b * share for a, b in zip(colour, other, strict=True)]
    return np.asarray(cv2.merge(channels), np.float32)


def photo_crop(rng: np.random.Generator, photos: Photos, size: tuple[int, int]) -> Surface:
    """A random window of a random photo, flipped at will, resized to `size`."""
    photo = photos[int(rng.integers(len(photos)))]
    h, w = photo.shape[:2]
    share = rng.uniform(0.25, 1.0)
    side_h, side_w = max(16, int(h * share)), max(16, int(w * share))
    y, x = int(rng.integers(h - side_h + 1)), int(rng.integers(w - side_w + 1))
    window = photo[y : y + side_h, x : x + side_w]
    if rng.random() < 0.5:
        window = window[:, ::-1]
    resized = cv2.resize(np.ascontiguousarray(window), (size[1], size[0]), interpolation=1)
    return resized.astype(np.float32)


def random_surface(
    rng: np.random.Generator,
    colour: npt.NDArray[np.float32],
    size: tuple[int, int],
    photos: Photos = (),
    photo_share: float = 0.0,
) -> Surface:
    """A surface of a random kind round `colour`, float32 about 0..255, shape (H, W, 3)."""
    if photos and rng.random() < photo_share:
        crop = photo_crop(rng, photos, size)
        pull = np.float32(rng.choice([0.0, 0.3, 0.6]))
        pulled: Surface = crop + (colour - crop.mean((0, 1))) * pull
        return pulled
    kind = rng.random()
    if kind < 0.3:
        return plain(colour, size)
    if kind < 0.55:
        return gradient(rng, colour, size)
    if kind < 0.85:
        return noise(rng, colour, size)
    return stripes(rng, colour, size)
