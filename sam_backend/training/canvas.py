"""A scene while it is being painted: pixels, the masks of what is on them, windows to work in."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.training.shapes import Outline
from sam_backend.training.textures import Surface, random_colour, spread

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


class Canvas:
    """The scene while it is being painted, back to front; every change stays in a small window."""

    def __init__(self, surface: Surface) -> None:
        self.pixels = surface
        self.size: tuple[int, int] = (surface.shape[0], surface.shape[1])
        self.masks: list[npt.NDArray[np.bool_]] = []

    def shade(self, coverage: npt.NDArray[np.uint8], window: tuple[slice, slice]) -> None:
        """Let an object about to be painted cast a soft shadow, inside `window`."""
        blur = max(self.size) // 32 | 1
        cast = np.asarray(cv2.blur(coverage, (blur, blur)), np.uint8)
        self.pixels[window] *= spread(1 - cast * np.float32(0.5 / 255))

    def paint(
        self, coverage: npt.NDArray[np.uint8], surface: Surface, window: tuple[slice, slice]
    ) -> None:
        """Cover the window of the scene with `surface` where `coverage` says so."""
        share = spread(coverage * np.float32(1 / 255))
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

    def finish(self, image: npt.NDArray[np.uint8]) -> Scene | None:
        """The scene with `image` as its pixels; None if no object is left visible."""
        least = MIN_AREA_SHARE * self.size[0] * self.size[1]
        kept = [mask for mask in self.masks if mask.sum() >= least]
        return Scene(image, np.stack(kept)) if kept else None


def window_of(outline: Outline, size: tuple[int, int], margin: int = 2) -> tuple[slice, slice]:
    """Rows and columns of a (height, width) picture that `outline` touches; empty if none."""
    points = np.concatenate(outline)
    low = np.clip(points.min(0) - margin, 0, size[::-1]).astype(int)
    high = np.clip(points.max(0) + margin + 1, 0, size[::-1]).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])


def sides_px(window: tuple[slice, slice]) -> tuple[int, int]:
    """(height, width) of a window in pixels."""
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start


def local(outline: Outline, window: tuple[slice, slice]) -> Outline:
    """`outline` in the coordinates of `window`."""
    corner = np.array([window[1].start, window[0].start], np.float32)
    return [points - corner for points in outline]
