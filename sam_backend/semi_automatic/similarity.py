"""How much masks look alike: by the image embedding under them, their colour and their size."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.masks.rle import RLE, decode
from sam_backend.masks.types import window
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.sam.types import Embedding
from sam_backend.semi_automatic.cells import inner_cells

_LAB_WEIGHTS = np.array([0.5, 1, 1], np.float32) / 20  # light changes more than hue
_LOOKED_AT_PX = 4000  # pixels of a mask that are enough to know its colour and cells
_POINTS_A_SIDE = (16, 64)


@dataclass(frozen=True, slots=True)
class Weights:
    """Log-odds of two masks being of one kind, as fitted by a logistic regression.

    Attributes:
        features: Per unit of cosine of their embeddings.
        colour: Lost per 20 units of distance in CIELAB (8 bits, light counts half).
        size: Lost per factor e between their shares of the image.
    """

    features: float
    colour: float
    size: float


SAME_IMAGE = Weights(3.4, 2.0, 1.5)
OTHER_IMAGE = Weights(3.4, 1.0, 0.7)
"""Light, scale and camera differ between images."""

STABILITY, PREDICTED_IOU = 6.0, 2.0
"""Log-odds per unit: of two masks that look as much alike, the better one goes first."""


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What masks of one image look like.

    Attributes:
        vectors: Embedding under each mask, less the image's mean, of length 1, shape (N, C).
        colours: Mean CIELAB under each mask, as OpenCV gives it for 8 bits, shape (N, 3).
        log_shares: Natural logarithm of each mask's share of the image, shape (N,).
    """

    vectors: npt.NDArray[np.float32]
    colours: npt.NDArray[np.float32]
    log_shares: npt.NDArray[np.float32]


class ImageLook:
    """Looks at masks of one image.

    Args:
        embedding: The image's.
        pixels: RGB, shape (H, W, 3) uint8.
    """

    def __init__(self, embedding: Embedding, pixels: npt.NDArray[np.uint8]) -> None:
        cells = inner_cells(embedding)
        self._grid = cells.shape[1:]
        vectors = cells.reshape(len(cells), -1).T
        self._cells = vectors - vectors.mean(axis=0)
        self._lab = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB), np.uint8)

    def of(self, masks: Sequence[RLE]) -> Looks:
        """Look at masks of the image's size, none of them empty."""
        n_pixels = self._lab.shape[0] * self._lab.shape[1]
        looked = [self._one(mask) for mask in masks]
        return Looks(
            np.array([vector for vector, _ in looked], np.float32).reshape(len(masks), -1),
            np.array([colour for _, colour in looked], np.float32).reshape(-1, 3),
            np.log(np.array([mask.area_px / n_pixels for mask in masks], np.float32)),
        )

    def points(self, exemplars: Looks, weights: Weights, most: int) -> npt.NDArray[np.float64]:
        """The places that look most like exemplars: of a grid about as fine as they are.

        Args:
            exemplars: What is looked for.
            weights: Whether it is of this image.
            most: So many places at the most.

        Returns:
            x and y in pixels, shape (N, 2), the most similar place first.
        """
        height, width = self._lab.shape[:2]
        least_px = float(np.exp(exemplars.log_shares.min() / 2)) * (height * width) ** 0.5
        per_side = np.clip(2 * max(height, width) / least_px, *_POINTS_A_SIDE)
        step = max(height, width) / per_side
        rows, columns = max(1, round(height / step)), max(1, round(width / step))
        size = (columns, rows)
        at_cells = (_unit(self._cells) @ exemplars.vectors.T).max(axis=1).reshape(self._grid)
        alike = cv2.resize(at_cells, size, interpolation=cv2.INTER_LINEAR)
        lab = cv2.resize(self._lab, size, interpolation=cv2.INTER_AREA).reshape(-1, 3)
        off = _colour_distances(np.asarray(lab, np.float32), exemplars).min(axis=1)
        odds = weights.features * np.asarray(alike).ravel() - weights.colour * off
        best = np.argsort(-odds, kind="stable")[:most]
        return np.stack(
            [(best % columns + 0.5) * width / columns, (best // columns + 0.5) * height / rows],
            axis=1,
        )

    def _one(self, mask: RLE) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Embedding of length 1 and colour under a mask."""
        pixels = decode(mask)
        where = window(pixels)
        assert where is not None  # an empty mask looks like nothing
        y, x = np.nonzero(pixels[where])
        step = 1 + len(y) // _LOOKED_AT_PX
        y, x = y[::step] + where[0].start, x[::step] + where[1].start
        height, width = pixels.shape
        rows, columns = self._grid
        cells = y * rows // height * columns + x * columns // width
        weights = np.bincount(cells, minlength=rows * columns).astype(np.float32)
        vector = _unit(weights @ self._cells)
        return vector, self._lab[y, x].mean(axis=0, dtype=np.float32)


def likeness(looks: Looks, exemplars: Looks, weights: Weights) -> npt.NDArray[np.float32]:
    """Log-odds that each mask is of the kind of the exemplar that it resembles most, shape (N,)."""
    alike = looks.vectors @ exemplars.vectors.T
    off = _colour_distances(looks.colours, exemplars)
    grown = np.abs(looks.log_shares[:, None] - exemplars.log_shares)
    odds = weights.features * alike - weights.colour * off - weights.size * grown
    best: npt.NDArray[np.float32] = odds.max(axis=1, initial=-np.inf).astype(np.float32)
    return best


def worth(record: MaskRecord) -> float:
    """Log-odds that a mask adds to its likeness by being a good one."""
    return STABILITY * record.stability + PREDICTED_IOU * record.predicted_iou


def _colour_distances(
    colours: npt.NDArray[np.float32], exemplars: Looks
) -> npt.NDArray[np.float32]:
    off = (colours[:, None] - exemplars.colours) * _LAB_WEIGHTS
    return np.asarray(np.linalg.norm(off, axis=2), np.float32)


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), np.float32)
