"""Tiles of picture sheets: a cut-out of a photo with outlines, a mask, clicks and a caption."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.masks.types import Mask, window

Picture = npt.NDArray[np.uint8]
"""RGB, shape (H, W, 3) uint8."""

SIDE_PX = 280
CAPTION_PX = 26
GAP_PX = 8
MIN_SHARE = 0.3
"""Least part of an image's longest side that a cut-out shows, so that there are surroundings."""

INK, PAPER = (30, 30, 30), (255, 255, 255)
TRUTH, ANSWER = (255, 220, 0), (235, 0, 200)  # colours that photos seldom have
POSITIVE, NEGATIVE = (20, 200, 60), (230, 30, 30)
FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A square cut-out of an image round one mask, scaled to a tile.

    Attributes:
        image: The whole image.
        truth: The mask that the view is of, shape (H, W) bool; its outline is on every tile.
        where: Rows and columns of the cut-out.
        scale: Pixels of the tile per pixel of the image.
    """

    image: Picture
    truth: Mask
    where: tuple[slice, slice]
    scale: float

    @classmethod
    def of(cls, image: Picture, truth: Mask) -> Self:
        """The view of a mask, twice as wide as it and inside the image where that is possible.

        Raises:
            ValueError: The mask is empty.
        """
        box = window(truth)
        if box is None:
            raise ValueError("an empty mask has no view")
        longest = max(part.stop - part.start for part in box)
        side = max(2 * longest, round(MIN_SHARE * max(truth.shape)))
        rows, columns = (
            _centred(part, side, length) for part, length in zip(box, truth.shape, strict=True)
        )
        shown = max(part.stop - part.start for part in (rows, columns))
        return cls(image, truth, (rows, columns), SIDE_PX / shown)

    def tile(
        self,
        caption: str,
        answer: Mask | None = None,
        clicks: Sequence[tuple[int, int, bool]] = (),
        box: npt.NDArray[np.float32] | None = None,
    ) -> Picture:
        """The cut-out with what is to be shown, and its caption below.

        Args:
            caption: One short line.
            answer: A model's mask, filled; None without.
            clicks: x, y in pixels of the image, whether positive.
            box: x0 y0 x1 y1 in pixels of the image; None without.

        Returns:
            As wide as SIDE_PX, as high as the cut-out and the caption.
        """
        picture = self._scaled(self.image, cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR)
        if answer is not None:
            inside = self._scaled(answer.astype(np.uint8), cv2.INTER_NEAREST).astype(np.bool_)
            picture[inside] = (0.5 * picture[inside] + 0.5 * np.array(ANSWER)).astype(np.uint8)
        outline = self._scaled(self.truth.astype(np.uint8), cv2.INTER_NEAREST)
        contours = cv2.findContours(outline, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
        cv2.drawContours(picture, contours, -1, INK, 3, cv2.LINE_AA)
        cv2.drawContours(picture, contours, -1, TRUTH, 1)
        if box is not None:
            right, bottom = picture.shape[1] - 2, picture.shape[0] - 2
            (x0, y0), (x1, y1) = self._at(*box[:2]), self._at(*box[2:])
            corners = (max(1, x0), max(1, y0)), (min(right, x1), min(bottom, y1))
            cv2.rectangle(picture, corners[0], corners[1], PAPER, 2)
        for x, y, is_positive in clicks:
            at = self._at(x + 0.5, y + 0.5)
            cv2.circle(picture, at, 7, PAPER, -1, cv2.LINE_AA)
            cv2.circle(picture, at, 5, POSITIVE if is_positive else NEGATIVE, -1, cv2.LINE_AA)
        height, width = picture.shape[:2]
        tile = np.full((height + CAPTION_PX, SIDE_PX, 3), PAPER, np.uint8)
        tile[:height, :width] = picture
        write(tile, caption, (2, height + 18))
        return tile

    def _scaled(self, pixels: npt.NDArray[np.uint8], how: int) -> npt.NDArray[np.uint8]:
        cut = pixels[self.where]
        size = tuple(max(1, min(SIDE_PX, round(n * self.scale))) for n in cut.shape[1::-1])
        return np.array(cv2.resize(cut, size, interpolation=how), np.uint8)

    def _at(self, x: float, y: float) -> tuple[int, int]:
        rows, columns = self.where
        return round((x - columns.start) * self.scale), round((y - rows.start) * self.scale)


def sheet(title: str, header: Sequence[str], rows: Sequence[Sequence[Picture]]) -> Picture:
    """Tiles in rows, under a title and one heading a column; tiles of one row are equally high."""
    top = 2 * CAPTION_PX + 2 * GAP_PX
    height = top + sum(tiles[0].shape[0] + GAP_PX for tiles in rows)
    picture = np.full((height, GAP_PX + len(header) * (SIDE_PX + GAP_PX), 3), PAPER, np.uint8)
    write(picture, title, (GAP_PX, CAPTION_PX))
    lefts = [GAP_PX + column * (SIDE_PX + GAP_PX) for column in range(len(header))]
    for left, heading in zip(lefts, header, strict=True):
        write(picture, heading, (left, 2 * CAPTION_PX + GAP_PX), scale=0.6)
    for tiles in rows:
        for left, tile in zip(lefts, tiles, strict=True):
            picture[top : top + tile.shape[0], left : left + SIDE_PX] = tile
        top += tiles[0].shape[0] + GAP_PX
    return picture


def write(picture: Picture, text: str, at: tuple[int, int], scale: float = 0.5) -> None:
    """Write one line of plain text onto a picture, its lower left corner at x, y."""
    cv2.putText(picture, text, at, FONT, scale, INK, 1, cv2.LINE_AA)


def _centred(part: slice, side: int, length: int) -> slice:
    """`side` pixels round a part of an axis of `length` pixels; all of it if it is shorter."""
    middle = (part.start + part.stop) // 2
    start = min(max(0, middle - side // 2), max(0, length - side))
    return slice(start, min(length, start + side))
