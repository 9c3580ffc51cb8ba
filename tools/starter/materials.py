"""Surfaces with the statistics of photographs: clouds, clutter, blinds, writing.

Natural pictures are alike at every scale (Field 1987: amplitude falls with 1/frequency) and made
of things that cover each other (Lee, Mumford, Huang, IJCV 2001); so are clouds and clutter.
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.training.textures import (
    Photos,
    Surface,
    gradient,
    noise,
    photo_crop,
    plain,
    stripes,
    tinted,
)
from tools.starter.lettering import written


def _resized(field: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.resize(field, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def clouds(
    rng: np.random.Generator, colour: npt.NDArray[np.float32], size: tuple[int, int]
) -> Surface:
    """Noise of several octaves, stretched in one direction now and then."""
    h, w = size
    fall = np.exp(rng.uniform(np.log(0.4), np.log(1.1)))
    stretch = np.exp(rng.normal(0, 0.35))
    n_octaves = max(1, int(np.log2(max(h, w))) - 1)
    field: npt.NDArray[np.float32] = rng.standard_normal((2, 2), np.float32)
    for octave in range(1, n_octaves + 1):
        cell_px = 2.0 ** (n_octaves - octave + 1)
        rows = int(np.clip(h / cell_px * stretch, 2, h))
        columns = int(np.clip(w / cell_px / stretch, 2, w))
        field = _resized(field, (rows, columns))
        weight = np.float32(2.0 ** float(-fall * (octave - 1)))
        field += weight * rng.standard_normal((rows, columns), np.float32)
    field = _resized(field, size)
    direction = np.float32(1) + rng.normal(0, 0.3, 3).astype(np.float32)
    return tinted(field, colour, direction * np.float32(rng.uniform(8, 40)))


def clutter(
    rng: np.random.Generator, colour: npt.NDArray[np.float32], size: tuple[int, int]
) -> Surface:
    """Foliage, pebbles, a crowd: many small things of related colours over each other."""
    h, w = min(size[0], 128), min(size[1], 128)
    radius = max(1.5, max(h, w) * np.exp(rng.uniform(np.log(0.015), np.log(0.1))))
    n = int(np.clip(2.5 * h * w / (np.pi * radius**2), 8, 200))
    spread = rng.uniform(8, 40)
    tints = rng.normal(0, spread, (n, 1)) + rng.normal(0, spread * 0.3, (n, 3))
    colours = np.clip(colour + tints, 0, 255).tolist()
    centres = (rng.uniform(-0.02, 1.02, (n, 2)) * [w, h]).astype(int).tolist()
    radii = 1 + radius * np.exp(rng.normal(0, 0.5, (n, 1)))
    axes = (radii * [1, rng.uniform(0.25, 1.0)]).astype(int).tolist()
    angles = rng.normal(rng.uniform(0, 180), 25, n).tolist()
    tile = np.empty((h, w, 3), np.uint8)
    tile[:] = np.clip(colour * rng.uniform(0.4, 1.1), 0, 255)
    for i in range(n):
        cv2.ellipse(tile, centres[i], axes[i], angles[i], 0, 360, colours[i], -1)
    enough = cv2.copyMakeBorder(tile, 0, size[0] - h, 0, size[1] - w, cv2.BORDER_REFLECT)
    return np.asarray(enough, np.float32)


def _paint_of_one_colour(
    rng: np.random.Generator, colour: npt.NDArray[np.float32], size: tuple[int, int]
) -> Surface:
    return plain(colour, size)


def _page(
    rng: np.random.Generator, colour: npt.NDArray[np.float32], size: tuple[int, int]
) -> Surface:
    return written(rng, gradient(rng, colour, size))


Material = Callable[[np.random.Generator, npt.NDArray[np.float32], tuple[int, int]], Surface]
MATERIALS: tuple[tuple[Material, float], ...] = (
    (_paint_of_one_colour, 0.10),
    (gradient, 0.15),
    (noise, 0.15),
    (clouds, 0.30),
    (clutter, 0.17),
    (stripes, 0.07),
    (_page, 0.06),
)
"""Every material with its share among the leaves of a scene."""


def random_material(
    rng: np.random.Generator,
    colour: npt.NDArray[np.float32],
    size: tuple[int, int],
    photos: Photos = (),
    photo_share: float = 0.0,
) -> Surface:
    """A surface as on photographs round `colour`, float32 about 0..255, shape (H, W, 3)."""
    if photos and rng.random() < photo_share:
        crop = photo_crop(rng, photos, size)
        pulled: Surface = crop + (colour - crop.mean((0, 1))) * np.float32(rng.uniform(0, 1))
        return pulled
    kind = int(rng.choice(len(MATERIALS), p=[share for _, share in MATERIALS]))
    return MATERIALS[kind][0](rng, colour, size)
