"""Procedural images whose masks are known: the bulk of what the starter learns from.

Objects cover each other, cast shadows, have holes, and have parts of their own, so that one click
may well mean the whole, a part or a subpart (the ambiguity of the SAM paper, section 3).
"""

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.training.canvas import Canvas, Scene, local, sides_px, window_of
from sam_backend.training.shapes import (
    blob,
    draw,
    ellipse,
    moved,
    part_of,
    polygon,
    random_outline,
    rectangle,
    ring,
)
from sam_backend.training.textures import (
    Photos,
    Surface,
    gradient,
    noise,
    plain,
    random_colour,
    random_surface,
    spread,
)


def _add_object(canvas: Canvas, rng: np.random.Generator, photos: Photos, max_parts: int) -> None:
    """Paint one object, perhaps with parts, and record its masks."""
    side = max(canvas.size)
    radius = side * np.exp(rng.uniform(np.log(0.025), np.log(0.36)))
    centre = rng.uniform(0.02, 0.98, 2) * canvas.size[::-1]
    outline = moved(random_outline(rng), centre, radius)
    window = window_of(outline, canvas.size)
    extent = sides_px(window)
    if min(extent) < 3:
        return
    coverage = draw(local(outline, window), extent)
    mask = coverage > 127
    colour = canvas.contrasting(mask, window, rng, distance=rng.uniform(12, 60))
    if rng.random() < 0.35:
        shadow = moved(outline, rng.normal(0, side * 0.015, 2), 1.0)
        shaded = window_of(shadow, canvas.size, margin=side // 32)
        if min(sides_px(shaded)) > 0:
            canvas.shade(draw(local(shadow, shaded), sides_px(shaded)), shaded)
    canvas.paint(coverage, random_surface(rng, colour, extent, photos, photo_share=0.3), window)
    canvas.add_mask(mask, window, occludes=True)
    n_parts = int(rng.integers(1, max_parts + 1)) if rng.random() < 0.4 else 0
    for _ in range(n_parts):
        on_object = np.minimum(draw(local(part_of(outline, rng), window), extent), coverage)
        part = on_object > 127
        tint = canvas.contrasting(part, window, rng, distance=rng.uniform(20, 60))
        fill = random_surface(rng, tint, extent, photos, photo_share=0.1)
        canvas.paint(on_object, fill, window)
        canvas.add_mask(part, window, occludes=False)


def hard_scene(rng: np.random.Generator, size: int, photos: Photos = ()) -> Scene:
    """A crowded scene with textures, occlusion, shadows, holes, parts and camera artefacts.

    Args:
        rng: Source of all chance.
        size: Side of the square image in pixels.
        photos: RGB photos to take backgrounds and surfaces from, each (h, w, 3) uint8.
    """
    while True:
        surface = random_surface(rng, random_colour(rng), (size, size), photos, photo_share=0.4)
        canvas = Canvas(surface)
        for _ in range(int(rng.integers(1, 10))):
            _add_object(canvas, rng, photos, max_parts=3)
        if scene := canvas.finish(camera(canvas.pixels, rng)):
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
            canvas = Canvas(plain(ground, (size, size)))
        elif kind < 0.8:
            canvas = Canvas(gradient(rng, ground, (size, size)))
        else:
            canvas = Canvas(noise(rng, ground, (size, size)))
        for _ in range(int(rng.integers(1, 6))):
            maker = makers[int(rng.choice(5, p=[0.3, 0.25, 0.2, 0.2, 0.05]))]
            radius = size * np.exp(rng.uniform(np.log(0.04), np.log(0.3)))
            outline = moved(maker(rng), rng.uniform(0.1, 0.9, 2) * size, radius)
            window = window_of(outline, canvas.size)
            coverage = draw(local(outline, window), sides_px(window))
            mask = coverage > 127
            colour = canvas.contrasting(mask, window, rng, distance=50.0)
            canvas.paint(coverage, plain(colour, sides_px(window)), window)
            canvas.add_mask(mask, window, occludes=True)
        with_camera = rng.random() < 0.5
        image = camera(canvas.pixels, rng) if with_camera else rounded(canvas.pixels)
        if scene := canvas.finish(image):
            return scene


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
