"""A polygon with holes as a single ring, for formats that know no holes."""

import numpy as np

from sam_backend.masks.polygons import Polygon, Ring, signed_area

_MAX_DISTANCES = 2_000_000


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
