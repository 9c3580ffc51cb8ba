"""Random outlines: what the objects of a procedural scene look like as shapes.

An outline is a list of closed rings, each (K, 2) float32 in pixels, x before y; rings inside others
are holes (even-odd filling).
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Ring = npt.NDArray[np.float32]
Outline = list[Ring]

_SUBPIXEL_BITS = 4


def draw(outline: Outline, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Coverage of `outline` on a (height, width) canvas, anti-aliased, 0..255, shape (H, W)."""
    canvas = np.zeros(size, np.uint8)
    scaled = [np.round(ring * 2**_SUBPIXEL_BITS).astype(np.int32) for ring in outline]
    cv2.fillPoly(canvas, scaled, 255, lineType=cv2.LINE_AA, shift=_SUBPIXEL_BITS)
    return canvas


def _placed(ring: npt.NDArray[np.float64], rng: np.random.Generator) -> Ring:
    """Stretch a ring of about unit radius by a random aspect ratio and turn it."""
    aspect = np.exp(rng.normal(0, 0.35))
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    placed: Ring = (ring * [aspect**0.5, aspect**-0.5] @ turn).astype(np.float32)
    return placed


def _circle(n: int) -> npt.NDArray[np.float64]:
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.stack([np.cos(t), np.sin(t)], axis=1)


def ellipse(rng: np.random.Generator) -> Outline:
    """A disc or an ellipse."""
    ring = _circle(48)
    return [ring.astype(np.float32) if rng.random() < 0.3 else _placed(ring, rng)]


def rectangle(rng: np.random.Generator) -> Outline:
    """A square or a rectangle, upright in half of the cases."""
    side = np.array([[-0.8, -0.8], [0.8, -0.8], [0.8, 0.8], [-0.8, 0.8]])
    if rng.random() < 0.5:
        aspect = np.exp(rng.normal(0, 0.4))
        return [(side * [aspect**0.5, aspect**-0.5]).astype(np.float32)]
    return [_placed(side, rng)]


def polygon(rng: np.random.Generator) -> Outline:
    """A polygon of 3 to 9 corners, convex or star-shaped."""
    n = int(rng.integers(3, 10))
    t = (np.arange(n) + rng.uniform(-0.35, 0.35, n)) * 2 * np.pi / n
    radius = rng.uniform(0.45, 1.1, n) if rng.random() < 0.6 else np.full(n, 1.0)
    return [_placed(np.stack([np.cos(t), np.sin(t)], axis=1) * radius[:, None], rng)]


def blob(rng: np.random.Generator) -> Outline:
    """A smooth closed contour: a few random harmonics of the radius."""
    t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    order = np.arange(2, 8)
    amplitude = rng.normal(0, 0.45, 6) / order**0.9
    phase = rng.uniform(0, 2 * np.pi, 6)
    radius = 1 + (amplitude[:, None] * np.cos(order[:, None] * t + phase[:, None])).sum(0)
    radius = np.clip(radius, 0.15, 2.0)
    return [_placed(np.stack([np.cos(t), np.sin(t)], axis=1) * radius[:, None], rng)]


def ring(rng: np.random.Generator) -> Outline:
    """An outline with a hole."""
    maker = (ellipse, rectangle, blob)[int(rng.integers(3))]
    outer = maker(rng)[0]
    return [outer, outer * np.float32(rng.uniform(0.35, 0.75))]


def stick(rng: np.random.Generator) -> Outline:
    """Something thin: a bent band of nearly constant width."""
    t = np.linspace(-1, 1, 24)
    bend, wave = rng.normal(0, 0.5), rng.normal(0, 0.25)
    middle = np.stack([t, bend * t**2 + wave * np.sin(3 * t)], axis=1)
    width = rng.uniform(0.04, 0.16) * (1 + 0.4 * rng.random() * t)
    slope = np.gradient(middle, axis=0)
    normal = np.stack([-slope[:, 1], slope[:, 0]], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    band = np.concatenate(
        [middle + normal * width[:, None], (middle - normal * width[:, None])[::-1]]
    )
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return [(band @ turn).astype(np.float32)]


SHAPES: tuple[tuple[Callable[[np.random.Generator], Outline], float], ...] = (
    (ellipse, 0.22),
    (rectangle, 0.18),
    (polygon, 0.18),
    (blob, 0.24),
    (ring, 0.08),
    (stick, 0.10),
)
"""Every shape with its share among the objects of a scene."""


def random_outline(rng: np.random.Generator) -> Outline:
    """An outline of about unit radius round the origin."""
    shares = np.array([share for _, share in SHAPES])
    return SHAPES[int(rng.choice(len(SHAPES), p=shares / shares.sum()))][0](rng)


def moved(outline: Outline, centre: npt.ArrayLike, radius: float) -> Outline:
    """`outline` scaled by `radius` pixels and moved to `centre` (x, y)."""
    shift = np.asarray(centre, np.float32)
    return [ring * np.float32(radius) + shift for ring in outline]


def part_of(outline: Outline, rng: np.random.Generator) -> Outline:
    """A smaller shape somewhere on `outline`, or its shrunken self."""
    points = np.concatenate(outline)
    centre, spread = points.mean(0), float(np.abs(points - points.mean(0)).max())
    if rng.random() < 0.25:
        return [(outline[0] - centre) * np.float32(0.6) + centre]
    place = centre + rng.normal(0, spread * 0.35, 2)
    return moved(random_outline(rng), place, spread * rng.uniform(0.2, 0.6))
