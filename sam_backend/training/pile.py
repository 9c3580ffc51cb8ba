"""A picture that fills up front to back: what is laid first covers what comes later.

The perfect simulation of dead leaves (Kendall and Thönnes 1999): nothing is painted in vain, and
the picture is known to be full. Every pixel belongs to exactly one layer.
"""

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.training.textures import Surface

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
        self._owners: list[int | None] = []

    @property
    def n_layers(self) -> int:
        """Layers so far; the next one gets this number."""
        return len(self._windows)

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
        owner: int | None = None,
    ) -> None:
        """Put a layer behind all others.

        Args:
            coverage: 0..255, of the window's shape.
            surface: Its colours, of the window's shape and 3.
            window: Rows and columns.
            owner: Layer that it is a part of.
        """
        clear, layer = self._clear[window], self.layer[window]
        share = coverage * np.float32(1 / 255) * clear
        self.pixels[window] += surface * (share * self._light[window])[..., None]
        clear -= share
        layer[(coverage > 127) & (layer < 0)] = self.n_layers
        self._windows.append(window)
        self._owners.append(owner)

    def darken(self, coverage: npt.NDArray[np.uint8], window: Window, share: float) -> None:
        """Let a shadow fall on all that will be laid from now on."""
        self._light[window] *= 1 - coverage * np.float32(share / 255)

    def masks(self, min_area_px: float) -> list[npt.NDArray[np.bool_]]:
        """What an annotator could want: each connected piece, and wholes of pieces and parts.

        Human segments are connected (all of 1,500 of BSDS500 are), so a thing that another one
        divides is two segments; and it is one thing all the same.
        """
        found: list[npt.NDArray[np.bool_]] = []
        owning = {owner for owner in self._owners if owner is not None}
        for number, window in enumerate(self._windows):
            own = self.layer[window] == number
            if np.count_nonzero(own) < min_area_px and number not in owning:
                continue
            pieces = _pieces(own, min_area_px)
            whole = own
            if number in owning:
                parts = [i for i, owner in enumerate(self._owners) if owner == number]
                whole = own | np.isin(self.layer[window], parts)
            if len(pieces) > 1 or (whole is not own and np.count_nonzero(whole) >= min_area_px):
                pieces.append(whole)
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
