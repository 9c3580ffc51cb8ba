"""Procedural images whose masks are known: the bulk of what the starter learns from.

Objects cover each other, cast shadows, have holes, and have parts of their own, so that one click
may well mean the whole, a part or a subpart (the ambiguity of the SAM paper, section 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.training.shapes import (
    Outline,
    blob,
    draw,
    ellipse,
    moved,
    polygon,
    random_outline,
    rectangle,
    ring,
)
from sam_backend.training.textures import (
    Photo,
    Surface,
    gradient,
    noise,
    plain,
    random_colour,
    random_surface,
)

MIN_AREA_SHARE = 0.0004
"""Objects with fewer visible pixels than this share of the image are no targets."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """An image and the masks that an annotator could want from it.

    Attributes:
        image: RGB, shape (H, W, 3) uint8.
        masks: Visible pixels of each object and part, shape (N, H, W) bool; they may nest.
    """

    image: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.bool_]


class _Canvas:
    """The scene while it is being painted, back to front; every change stays in a small window."""

    def __init__(self, surface: Surface) -> None:
        self.pixels = surface
        self.size: tuple[int, int] = (surface.shape[0], surface.shape[1])
        self.masks: list[npt.NDArray[np.bool_]] = []

    def window(self, outline: Outline, margin: int = 2) -> tuple[slice, slice]:
        """Rows and columns that `outline` touches; empty slices if it lies outside."""
        points = np.concatenate(outline)
        low = np.clip(points.min(0) - margin, 0, self.size[::-1]).astype(int)
        high = np.clip(points.max(0) + margin + 1, 0, self.size[::-1]).astype(int)
        return slice(low[1], high[1]), slice(low[0], high[0])

    def shade(self, coverage: npt.NDArray[np.uint8], window: tuple[slice, slice]) -> None:
        """Let an object about to be painted cast a soft shadow, inside `window`."""
        blur = max(self.size) // 32 | 1
        cast = cv2.blur(coverage, (blur, blur))[..., None]
        self.pixels[window] *= 1 - cast * np.float32(0.5 / 255)

    def paint(
        self, coverage: npt.NDArray[np.uint8], surface: Surface, window: tuple[slice, slice]
    ) -> None:
        """Cover the window of the scene with `surface` where `coverage` says so."""
        share = coverage[..., None] * np.float32(1 / 255)
        view = self.pixels[window]
        view += (surface - view) * share

    def add_mask(
        self, mask: npt.NDArray[np.bool_], window: tuple[slice, slice], occludes: bool
    ) -> None:
        """Record the mask of what was painted in `window`; objects hide what lies behind them."""
        if occludes:
            for old in self.masks:
                old[window] &= ~mask
        full = np.zeros(self.size, np.bool_)
        full[window] = mask
        self.masks.append(full)

    def contrasting(
        self,
        mask: npt.NDArray[np.bool_],
        window: tuple[slice, slice],
        rng: np.random.Generator,
        distance: float,
    ) -> npt.NDArray[np.float32]:
        """A colour at least `distance` away from what `mask` covers now, if one is found soon."""
        behind = self.pixels[window][mask].mean(0) if mask.any() else np.zeros(3, np.float32)
        colour = random_colour(rng)
        for _ in range(8):
            if np.abs(colour - behind).max() >= distance:
                break
            colour = random_colour(rng)
        return colour

    def finish(self, image: npt.NDArray[np.uint8]) -> "Scene | None":
        """The scene with `image` as its pixels; None if no object is left visible."""
        least = MIN_AREA_SHARE * self.size[0] * self.size[1]
        kept = [mask for mask in self.masks if mask.sum() >= least]
        return Scene(image, np.stack(kept)) if kept else None


def _extent(window: tuple[slice, slice]) -> tuple[int, int]:
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start


def _local(outline: Outline, window: tuple[slice, slice]) -> Outline:
    """`outline` in the coordinates of `window`."""
    corner = np.array([window[1].start, window[0].start], np.float32)
    return [points - corner for points in outline]


def _part(outline: Outline, rng: np.random.Generator) -> Outline:
    """A smaller shape somewhere on `outline`, or its shrunken self."""
    points = np.concatenate(outline)
    centre, spread = points.mean(0), float(np.abs(points - points.mean(0)).max())
    if rng.random() < 0.25:
        return [(outline[0] - centre) * np.float32(0.6) + centre]
    place = centre + rng.normal(0, spread * 0.35, 2)
    return moved(random_outline(rng), place, spread * rng.uniform(0.2, 0.6))


def _add_object(
    canvas: _Canvas, rng: np.random.Generator, photos: Sequence[Photo], max_parts: int
) -> None:
    """Paint one object, perhaps with parts, and record its masks."""
    side = max(canvas.size)
    radius = side * np.exp(rng.uniform(np.log(0.025), np.log(0.36)))
    centre = rng.uniform(0.02, 0.98, 2) * canvas.size[::-1]
    outline = moved(random_outline(rng), centre, radius)
    window = canvas.window(outline)
    extent = _extent(window)
    if min(extent) < 3:
        return
    coverage = draw(_local(outline, window), extent)
    mask = coverage > 127
    colour = canvas.contrasting(mask, window, rng, distance=rng.uniform(12, 60))
    if rng.random() < 0.35:
        shadow = moved(outline, rng.normal(0, side * 0.015, 2), 1.0)
        shaded = canvas.window(shadow, margin=side // 32)
        if min(_extent(shaded)) > 0:
            canvas.shade(draw(_local(shadow, shaded), _extent(shaded)), shaded)
    canvas.paint(coverage, random_surface(rng, colour, extent, photos, photo_share=0.3), window)
    canvas.add_mask(mask, window, occludes=True)
    n_parts = int(rng.integers(1, max_parts + 1)) if rng.random() < 0.4 else 0
    for _ in range(n_parts):
        on_object = np.minimum(draw(_local(_part(outline, rng), window), extent), coverage)
        part = on_object > 127
        tint = canvas.contrasting(part, window, rng, distance=rng.uniform(20, 60))
        fill = random_surface(rng, tint, extent, photos, photo_share=0.1)
        canvas.paint(on_object, fill, window)
        canvas.add_mask(part, window, occludes=False)


def _rounded(pixels: Surface) -> npt.NDArray[np.uint8]:
    """`pixels` as 8-bit values."""
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _camera(pixels: Surface, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """What a camera does to a scene: exposure, blur, grain and JPEG artefacts."""
    if rng.random() < 0.5:
        pixels = pixels * np.float32(rng.uniform(0.6, 1.2)) + np.float32(rng.normal(0, 12))
    if rng.random() < 0.35:
        blurred = cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.4, 1.8)))
        pixels = np.asarray(blurred, np.float32)
    if rng.random() < 0.5:
        sigma = np.float32(rng.uniform(1, 14))
        pixels = pixels + rng.standard_normal(pixels.shape, np.float32) * sigma
    image = _rounded(pixels)
    if rng.random() < 0.35:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 92))]
        coded = cv2.imencode(".jpg", image, quality)[1]
        image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return image


def hard_scene(rng: np.random.Generator, size: int, photos: Sequence[Photo] = ()) -> Scene:
    """A crowded scene with textures, occlusion, shadows, holes, parts and camera artefacts.

    Args:
        rng: Source of all chance.
        size: Side of the square image in pixels.
        photos: RGB photos to take backgrounds and surfaces from, each (h, w, 3) uint8.
    """
    while True:
        surface = random_surface(rng, random_colour(rng), (size, size), photos, photo_share=0.4)
        canvas = _Canvas(surface)
        for _ in range(int(rng.integers(1, 10))):
            _add_object(canvas, rng, photos, max_parts=3)
        if scene := canvas.finish(_camera(canvas.pixels, rng)):
            return scene


def simple_scene(rng: np.random.Generator, size: int) -> Scene:
    """One to five plain shapes, well apart in colour, on a plain or lightly textured ground.

    Args:
        rng: Source of all chance.
        size: Side of the square image in pixels.
    """
    makers = (ellipse, rectangle, polygon, blob, ring)
    while True:
        ground = random_colour(rng)
        kind = rng.random()
        if kind < 0.6:
            canvas = _Canvas(plain(ground, (size, size)))
        elif kind < 0.8:
            canvas = _Canvas(gradient(rng, ground, (size, size)))
        else:
            canvas = _Canvas(noise(rng, ground, (size, size)))
        for _ in range(int(rng.integers(1, 6))):
            maker = makers[int(rng.choice(5, p=[0.3, 0.25, 0.2, 0.2, 0.05]))]
            radius = size * np.exp(rng.uniform(np.log(0.04), np.log(0.3)))
            outline = moved(maker(rng), rng.uniform(0.1, 0.9, 2) * size, radius)
            window = canvas.window(outline)
            coverage = draw(_local(outline, window), _extent(window))
            mask = coverage > 127
            colour = canvas.contrasting(mask, window, rng, distance=50.0)
            canvas.paint(coverage, plain(colour, _extent(window)), window)
            canvas.add_mask(mask, window, occludes=True)
        with_camera = rng.random() < 0.5
        image = _camera(canvas.pixels, rng) if with_camera else _rounded(canvas.pixels)
        if scene := canvas.finish(image):
            return scene
