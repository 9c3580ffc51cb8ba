"""Masks as polygons along the pixels' edges.

Coordinates are pixels with x before y; the top left pixel reaches from (0, 0) to (1, 1), its centre
is (0.5, 0.5). A pixel belongs to a polygon if its centre does. Rings around the edges, not through
the centres as OpenCV draws them, keep one-pixel lines and give the same mask back.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.errors import InvalidInputError
from sam_backend.masks.types import Mask, window

Ring = npt.NDArray[np.float64]
"""Corners of a closed line in pixels, shape (N, 2), x before y; the last joins the first."""

_PIXELS_AT_ONCE = 1 << 20
_CROSSINGS_AT_ONCE = 1 << 18  # each takes a hundred bytes
_MOST_CROSSINGS = 1 << 22
_MAX_DISTANCES = 2_000_000  # between corners of a hole and of the ring around it
"""Of a ring's edges with rows of pixels: as many as an outline of four million pixels has. A few
thousand corners, each at the other end of the image, would keep a processor busy for minutes."""

_Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Polygon:
    """One part of a mask.

    Attributes:
        exterior: Its outer ring, shape (N, 2).
        holes: Its inner rings, each of shape (M, 2).
    """

    exterior: Ring
    holes: tuple[Ring, ...] = ()


def mask_to_polygons(mask: Mask, tolerance_px: float = 0.0) -> list[Polygon]:
    """The parts of a mask; pixels that touch at a corner belong to one part.

    Args:
        mask: Shape (H, W) bool.
        tolerance_px: How far a ring may leave the edge (Douglas-Peucker; OpenCV's clean-up after
            it goes up to 1.5 times as far); at 0 the polygons give exactly the mask back. A ring
            that would vanish is kept as it is.

    Returns:
        One polygon per part; none for a mask without pixels.
    """
    where = window(mask)
    if where is None:
        return []
    y0, x0 = where[0].start, where[1].start
    part = mask[where]
    # OpenCV joins pixel centres. With every pixel doubled, and one pixel around, half of such a
    # centre, rounded down, is the edge between on and off.
    doubled = np.pad(part.repeat(2, axis=0).repeat(2, axis=1).astype(np.uint8), 1)
    contours, tree = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    rings = [
        simplify(_corners(contour[:, 0] // 2 + np.array([x0, y0])), tolerance_px)
        for contour in contours
    ]
    parents = tree[0, :, 3].tolist()
    holes: dict[int, list[Ring]] = {index: [] for index, parent in enumerate(parents) if parent < 0}
    for ring, parent in zip(rings, parents, strict=True):
        if parent >= 0:
            holes[parent].append(ring)
    return [Polygon(rings[index], tuple(inner)) for index, inner in holes.items()]


def _corners(points: npt.NDArray[np.integer]) -> Ring:
    """Without the points that lie on the straight line between their neighbours."""
    points = points[(points != np.roll(points, 1, axis=0)).any(1)]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    is_corner = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    corners: Ring = points[is_corner].astype(np.float64)
    return corners


def simplify(ring: Ring, tolerance_px: float) -> Ring:
    """A ring with fewer corners, about the tolerance away at most; three corners at least."""
    if tolerance_px <= 0:
        return ring
    points = ring.astype(np.float32)[:, None]
    simple = cv2.approxPolyDP(points, tolerance_px, closed=True)[:, 0].astype(np.float64)
    return ring if len(simple) < 3 or signed_area(simple) == 0 else simple


def signed_area(ring: Ring) -> float:
    """The area inside a ring in square pixels, negative if it runs counter-clockwise on screen."""
    x, y = ring.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def fill_ring(ring: Ring, size: tuple[int, int]) -> Mask:
    """The pixels whose centre a ring goes around, shape (H, W) bool.

    Counts the turns (the "nonzero" rule), as a browser's canvas and so Label Studio fills polygons;
    for rings that do not cross themselves it equals the even-odd rule.

    Args:
        ring: Shape (N, 2) in pixels.
        size: (height, width) in pixels.

    Raises:
        InvalidInputError: Its edges pass too many rows of pixels.
    """
    mask = np.zeros(size, np.bool_)
    window, inside = _fill(ring, size)
    mask[window] = inside
    return mask


def _fill(ring: Ring, size: tuple[int, int]) -> tuple[tuple[slice, slice], Mask]:
    """The window of the image that a ring lies in, and the ring's pixels there."""
    limits = np.array([size[1], size[0]])
    centres = np.clip(np.ceil(ring - 0.5), 0, limits).astype(np.int64)
    (left, top), (right, bottom) = centres.min(axis=0), centres.max(axis=0)
    height, width = bottom - top, right - left
    start, end = ring - (left, top), np.roll(ring, -1, axis=0) - (left, top)
    y = centres[:, 1] - top
    first, last = np.minimum(y, np.roll(y, -1)), np.maximum(y, np.roll(y, -1))
    if (n_crossings := int((last - first).sum())) > _MOST_CROSSINGS:
        raise InvalidInputError(
            f"a polygon's {len(ring)} edges pass {n_crossings} rows of pixels, and may pass "
            f"{_MOST_CROSSINGS} in all: make its outline simpler"
        )
    # From the upper end to the lower, whichever way the ring runs: the two sides of a cut to a hole
    # must round alike, or a pixel whose centre lies on the cut is lost.
    goes_down = start[:, 1] < end[:, 1]
    upper, lower = np.where(goes_down[:, None], (start, end), (end, start))
    turn = np.where(goes_down, 1.0, -1.0)
    inside: Mask = np.empty((height, width), np.bool_)
    rows_at_once = max(_PIXELS_AT_ONCE // (width + 1), 1)
    for begin in range(0, height, rows_at_once):  # a pixel takes 17 bytes meanwhile
        stop = min(begin + rows_at_once, height)
        turns = np.zeros((stop - begin) * (width + 1))
        for row, edge in _crossings(np.clip(first, begin, stop), np.clip(last, begin, stop)):
            (x0, y0), (x1, y1) = upper[edge].T, lower[edge].T
            x = x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
            place = (row - begin) * (width + 1) + column
            turns += np.bincount(place, weights=turn[edge], minlength=len(turns))
        by_row = turns.reshape(stop - begin, width + 1)[:, :width]
        inside[begin:stop] = np.cumsum(by_row, axis=1) != 0
    return (slice(top, bottom), slice(left, right)), inside


def _crossings(first: _Numbers, last: _Numbers) -> Iterator[tuple[_Numbers, _Numbers]]:
    """Each row whose centre an edge passes, with the edge's place, some at a time.

    Args:
        first: The first row that each edge passes, shape (N,).
        last: The first one below it, likewise.
    """
    n_rows = last - first
    edges = np.flatnonzero(n_rows)
    group = np.cumsum(n_rows[edges]) // _CROSSINGS_AT_ONCE
    for some in np.split(edges, np.flatnonzero(np.diff(group)) + 1):
        n = n_rows[some]
        edge = np.repeat(some, n)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(n) - n, n) + first[edge]
        yield row, edge


def join_holes(polygon: Polygon) -> Ring:
    """One ring that fills the same pixels as the polygon with its holes.

    Every hole is reached over a cut of no width, which runs there and back between two corners: it
    has no area and, since holes run the other way round, both the nonzero and the even-odd rule
    leave them empty. A line drawn along the ring shows the cut.

    Returns:
        Shape (N, 2): each hole adds its corners and two.
    """
    ring = _turned(polygon.exterior, clockwise=True)
    # Holes next to each other hang on each other, which keeps the cuts short.
    holes = sorted(polygon.holes, key=lambda hole: float(hole[:, 0].min()))
    for hole in holes:
        inner = _turned(hole, clockwise=False)
        n_tried = max(1, min(len(inner), _MAX_DISTANCES // (len(ring) * len(holes))))
        tried = np.linspace(0, len(inner) - 1, n_tried).astype(np.int64)
        distances = ((inner[tried, None] - ring) ** 2).sum(axis=2)
        nearest, corner = np.unravel_index(int(distances.argmin()), distances.shape)
        entry = int(tried[nearest])
        loop = np.concatenate([inner[entry:], inner[: entry + 1]])
        ring = np.concatenate([ring[: corner + 1], loop, ring[corner:]])
    return ring


def _turned(ring: Ring, clockwise: bool) -> Ring:
    return ring if (signed_area(ring) > 0) == clockwise else ring[::-1]
