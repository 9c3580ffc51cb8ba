"""Dead leaves: scenes in which things of every size cover each other until the picture is full.

The model of Lee, Mumford and Huang (IJCV 2001), whose statistics come close to those of
photographs. Like an annotator's segments, the masks tile the picture. Here the leaves have any
outline and material, colours from one palette (so that neighbours may be alike), light and shadow,
and now and then a landscape behind them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.training.canvas import MIN_AREA_SHARE, Scene, local, sides_px, window_of
from sam_backend.training.scenes import camera, light
from sam_backend.training.shapes import Outline, blob, draw, moved, part_of, random_outline
from sam_backend.training.textures import Photos, random_colour, spread
from tools.starter.lettering import word
from tools.starter.materials import random_material
from tools.starter.pile import Pile, Window
from tools.starter.thin import fence, pole, twig

MOST_LEAVES = 40
LEAVES: tuple[tuple[Callable[[np.random.Generator], Outline], float], ...] = (
    (random_outline, 0.66),
    (blob, 0.22),
    (pole, 0.04),
    (twig, 0.03),
    (fence, 0.02),
    (word, 0.03),
)
"""Every outline with its share among the leaves."""


@dataclass(frozen=True, slots=True, eq=False)
class _Style:
    """What all leaves of one scene have in common.

    Attributes:
        palette: RGB colours, shape (K, 3) float32.
        jitter: How far a leaf's colour may be from its palette's.
        smallest: Radius of the smallest leaves, as a share of the side.
        power: Of the law of sizes, p(r) ~ r^-power; 3 makes the scene alike at every scale.
        shadow_px: Where shadows fall, x and y.
        shadow: How dark they are, 0..1.
        photos: Photos to cut materials from.
    """

    palette: npt.NDArray[np.float32]
    jitter: float
    smallest: float
    power: float
    shadow_px: npt.NDArray[np.float32]
    shadow: float
    photos: Photos

    def colour(self, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """One of the palette's colours, nearly."""
        chosen = self.palette[int(rng.integers(len(self.palette)))]
        near: npt.NDArray[np.float32] = chosen + rng.normal(0, self.jitter, 3).astype(np.float32)
        return near

    def radius(self, rng: np.random.Generator, largest: float = 0.5) -> float:
        """A leaf's radius as a share of the side, by the power law."""
        low, high = self.smallest ** (1 - self.power), largest ** (1 - self.power)
        drawn: float = (low + rng.random() * (high - low)) ** (1 / (1 - self.power))
        return drawn


def _random_style(rng: np.random.Generator, size: int, photos: Photos) -> _Style:
    n_colours = int(rng.integers(3, 9))
    palette = np.stack([random_colour(rng) for _ in range(n_colours)])
    grey = palette.mean(1, keepdims=True)
    palette = grey + (palette - grey) * np.float32(rng.uniform(0.1, 1.0))
    if rng.random() < 0.5:  # all of a kind, as in a wood or a room
        palette = palette[0] + (palette - palette[0]) * np.float32(rng.uniform(0.15, 0.6))
    shadow_px = rng.normal(0, size * 0.02, 2).astype(np.float32)
    return _Style(
        palette,
        jitter=rng.uniform(5, 25),
        smallest=float(np.exp(rng.uniform(np.log(0.03), np.log(0.2)))),
        power=rng.uniform(1.5, 3.0),
        shadow_px=shadow_px,
        shadow=rng.uniform(0.2, 0.7) if rng.random() < 0.6 else 0.0,
        photos=photos,
    )


def _lay_leaf(pile: Pile, style: _Style, rng: np.random.Generator) -> None:
    """Put one leaf behind the others, its parts before it."""
    side = max(pile.size)
    centre = rng.uniform(-0.05, 1.05, 2) * pile.size[::-1]
    for _ in range(2):  # where something lies already, less will be seen: try elsewhere
        x, y = np.clip(centre, 0, np.array(pile.size[::-1]) - 1).astype(int)
        if pile.layer[y, x] < 0:
            break
        centre = rng.uniform(-0.05, 1.05, 2) * pile.size[::-1]
    radius = style.radius(rng)
    kind = int(rng.choice(len(LEAVES), p=[share for _, share in LEAVES]))
    if LEAVES[kind][0] in (pole, twig, fence, word):
        radius = max(radius, rng.uniform(0.1, 0.6))  # thin things must be large to be seen
    outline = moved(LEAVES[kind][0](rng), centre, side * radius)
    window = window_of(outline, pile.size)
    extent = sides_px(window)
    if min(extent) < 3:
        return
    window = pile.seen(draw(local(outline, window), extent), window)
    extent = sides_px(window)
    if min(extent) < 3:
        return
    coverage = draw(local(outline, window), extent)
    has_parts = radius > 0.08 and rng.random() < 0.35
    parts = [
        _lay_part(pile, style, rng, outline, coverage, window)
        for _ in range(int(rng.integers(1, 4)) if has_parts else 0)
    ]
    surface = random_material(rng, style.colour(rng), extent, style.photos, photo_share=0.3)
    surface *= light(rng, extent, rng.uniform(0, 0.35))
    pile.lay(coverage, surface, window, [part for part in parts if part is not None])
    if style.shadow:
        blur = max(1, side // 40)
        cast = moved(outline, style.shadow_px * rng.uniform(0.3, 1.5), 1.0)
        shaded = window_of(cast, pile.size, margin=blur)
        if min(sides_px(shaded)) > 0:
            soft = cv2.blur(draw(local(cast, shaded), sides_px(shaded)), (blur, blur))
            pile.darken(np.asarray(soft, np.uint8), shaded, style.shadow)


def _lay_part(
    pile: Pile,
    style: _Style,
    rng: np.random.Generator,
    outline: Outline,
    coverage: npt.NDArray[np.uint8],
    window: Window,
) -> int | None:
    """Put something on a leaf that comes next, a shape or letters; its layer, None if unseen."""
    if rng.random() < 0.8:
        part = part_of(outline, rng)
    else:
        points = np.concatenate(outline)
        spread_px = float(np.abs(points - points.mean(0)).max())
        part = moved(word(rng), points.mean(0), spread_px * rng.uniform(0.4, 0.9))
    on_leaf = np.minimum(draw(local(part, window), sides_px(window)), coverage)
    seen = pile.seen(on_leaf, window)
    rows, columns = sides_px(seen)
    if min(rows, columns) < 1:
        return None
    top, left = seen[0].start - window[0].start, seen[1].start - window[1].start
    cut = on_leaf[top : top + rows, left : left + columns]
    return pile.lay(cut, random_material(rng, style.colour(rng), (rows, columns)), seen)


def _ridge(rng: np.random.Generator, size: tuple[int, int], height: float) -> Outline:
    """All below a line across the picture: straight, hilly or rugged."""
    h, w = size
    x = np.linspace(-0.6, 1.6, 90)
    y = np.full(90, height) + rng.normal(0, 0.12) * (x - 0.5)
    kind = rng.random()
    if kind > 0.3:
        rough = rng.uniform(0.02, 0.12)
        fall = rng.uniform(0.8, 1.6)
        order = np.arange(1, 16 if kind > 0.6 else 4)
        phase = rng.uniform(0, 2 * np.pi, len(order))
        waves = np.sin(order[:, None] * 3 * x + phase[:, None])
        y += rough * (rng.normal(0, 1, len(order))[:, None] * waves / order[:, None] ** fall).sum(0)
    line = np.stack([x * w, y * h], axis=1)
    corners = np.array([[1.6 * w, 2.5 * h], [-0.6 * w, 2.5 * h]])
    points = np.concatenate([line, corners])
    if rng.random() < 0.2:  # the edge of a wall, say
        angle = rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = (points - [w / 2, h / 2]) @ turn + [w / 2, h / 2]
    return [points.astype(np.float32)]


def _lay_ground(pile: Pile, style: _Style, rng: np.random.Generator) -> None:
    """Fill what is left: bands from the nearest to the sky."""
    everywhere = slice(0, pile.size[0]), slice(0, pile.size[1])
    n_borders = int(rng.choice(5, p=[0.3, 0.3, 0.2, 0.12, 0.08]))
    bands = [
        draw(_ridge(rng, pile.size, height), pile.size)
        for height in np.sort(rng.uniform(0.1, 0.95, n_borders))[::-1]
    ]
    for band in [*bands, np.full(pile.size, 255, np.uint8)]:
        window = pile.seen(band, everywhere)
        extent = sides_px(window)
        if min(extent) > 0:
            surface = random_material(rng, style.colour(rng), extent, style.photos, 0.3)
            surface *= light(rng, extent, 0.15)
            pile.lay(band[window], surface, window)


def leaves_scene(rng: np.random.Generator, size: int, photos: Photos = ()) -> Scene:
    """A picture full of things that cover each other; every pixel belongs to a mask.

    Args:
        rng: Source of all chance.
        size: Side of the square image in pixels.
        photos: RGB photos to cut materials from, each (h, w, 3) uint8.
    """
    style = _random_style(rng, size, photos)
    pile = Pile((size, size))
    wanted = 0.98 if rng.random() < 0.35 else rng.uniform(0.1, 0.9)
    for _ in range(MOST_LEAVES):
        if pile.filled() >= wanted:
            break
        _lay_leaf(pile, style, rng)
    _lay_ground(pile, style, rng)
    pixels = pile.pixels * light(rng, pile.size, rng.uniform(0, 0.3))
    if rng.random() < 0.2:  # a shadow from outside falls across all things and is none of them
        cast = moved(random_outline(rng), rng.uniform(0, size, 2), size * rng.uniform(0.2, 0.7))
        soft = cv2.blur(draw(cast, pile.size), (1 + size // 64, 1 + size // 64))
        pixels *= spread(1 - np.asarray(soft, np.float32) * np.float32(0.45 / 255))
    return Scene(camera(pixels, rng), np.stack(pile.masks(MIN_AREA_SHARE * size**2)))
