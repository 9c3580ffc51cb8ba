"""A picture that fills up front to back: what is laid first covers what comes later.

The perfect simulation of dead leaves (Kendall and Thönnes 1999): nothing is painted in vain, and
the picture is known to be full. Every pixel belongs to exactly one layer.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.training.textures import Surface, spread

Window = tuple[slice, slice]


class Pile:
    """The layers so far.

    Args:
        size: (height, width) in pixels.

    Attributes:
        pixels: Light from all layers so far, shape (H, W, 3) float32.
        layer: Number of the layer at each pixel, -1 where nothing lies yet, shape (H, W) int16.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.pixels = np.zeros((*size, 3), np.float32)
        self.layer = np.full(size, -1, np.int16)
        self._clear = np.ones(size, np.float32)
        self._light = np.ones(size, np.float32)
        self._windows: list[Window] = []
        self._parts: list[tuple[int, ...]] = []

    def filled(self) -> float:
        """Share of the picture where something lies, 0..1."""
        return float((self.layer >= 0).mean())

    def seen(self, coverage: npt.NDArray[np.uint8], window: Window) -> Window:
        """The part of `window` in which a layer would be seen; empty if it would be hidden."""
        is_seen = (coverage > 127) & (self.layer[window] < 0)
        x, y, width, height = cv2.boundingRect(is_seen.view(np.uint8))
        top, left = window[0].start + y, window[1].start + x
        return slice(top, top + height), slice(left, left + width)

    def lay(
        self,
        coverage: npt.NDArray[np.uint8],
        surface: Surface,
        window: Window,
        parts: Sequence[int] = (),
    ) -> int:
        """Put a layer behind all others.

        Args:
            coverage: 0..255, of the window's shape.
            surface: Its colours, of the window's shape and 3.
            window: Rows and columns.
            parts: Layers before it that belong to the same thing, all within the window.

        Returns:
            Its number.
        """
        clear, layer = self._clear[window], self.layer[window]
        share = coverage * np.float32(1 / 255) * clear
        self.pixels[window] += surface * spread(share * self._light[window])
        clear -= share
        number = len(self._windows)
        layer[(coverage > 127) & (layer < 0)] = number
        self._windows.append(window)
        self._parts.append(tuple(parts))
        return number

    def darken(self, coverage: npt.NDArray[np.uint8], window: Window, share: float) -> None:
        """Let a shadow fall on all that will be laid from now on."""
        self._light[window] *= 1 - coverage * np.float32(share / 255)

    def masks(self, min_area_px: float) -> list[npt.NDArray[np.bool_]]:
        """What an annotator could want: each connected piece, and wholes of pieces and parts.

        Human segments are connected (all of 1,500 of BSDS500 are), so a thing that another one
        divides is two segments; and it is one thing all the same.
        """
        found: list[npt.NDArray[np.bool_]] = []
        for number, (window, parts) in enumerate(zip(self._windows, self._parts, strict=True)):
            layer = self.layer[window]
            own = layer == number
            pieces = _pieces(own, min_area_px)
            if parts:
                whole = own | np.isin(layer, parts)
                if np.count_nonzero(whole) >= min_area_px:
                    pieces.append(whole)
            elif len(pieces) > 1:
                pieces.append(own)
            for piece in pieces:
                full = np.zeros(self.size, np.bool_)
                full[window] = piece
                found.append(full)
        return found


def _pieces(mask: npt.NDArray[np.bool_], min_area_px: float) -> list[npt.NDArray[np.bool_]]:
    """Connected pieces of a mask that are large enough."""
    n, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    large = [i for i in range(1, n) if stats[i, cv2.CC_STAT_AREA] >= min_area_px]
    return [labels == i for i in large]
