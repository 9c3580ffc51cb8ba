"""Prompts, embeddings and candidates: what goes into the model layer and what comes out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sam_backend.errors import PromptError
from sam_backend.masks.rle import RLE, decode
from sam_backend.masks.types import Mask


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Prompt:
    """What one object is asked for with: points, a box and a mask, in any combination.

    Lists and tuples are taken as well as arrays: `Prompt(points=[(410, 220)])`.

    Attributes:
        points: Clicks in pixels of the original image, shape (N, 2) float32, x before y.
        labels: True for foreground clicks, shape (N,) bool. Numbers 1 and 0 are taken too; all
            clicks are foreground if nothing is said.
        box: Box in pixels of the original image, shape (4,) float32, x0 y0 x1 y1; None without.
        mask_logits: Previous low-resolution logits of the padded model input, shape (L, L)
            float32 with L the model's mask side (256 for ViT-B/L/H); None without.

    Raises:
        PromptError: A shape is wrong, a value is no finite number, a label is neither foreground
            nor background, the box is empty, or nothing is asked.
    """

    points: npt.NDArray[np.float32]
    labels: npt.NDArray[np.bool_]
    box: npt.NDArray[np.float32] | None
    mask_logits: npt.NDArray[np.float32] | None

    def __init__(
        self,
        points: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        box: npt.ArrayLike | None = None,
        mask_logits: npt.ArrayLike | None = None,
    ) -> None:
        """Check the values and keep them as arrays; see the class."""
        clicks = _points(points)
        set_once = object.__setattr__  # the class is frozen
        set_once(self, "points", clicks)
        set_once(self, "labels", _labels(labels, len(clicks)))
        set_once(self, "box", None if box is None else _box(box))
        set_once(self, "mask_logits", None if mask_logits is None else _mask_logits(mask_logits))
        if not len(clicks) and box is None and mask_logits is None:
            raise PromptError("a prompt needs a point, a box or a mask")

    @property
    def is_ambiguous(self) -> bool:
        """True for a lone click: it may mean the whole, a part or a subpart (paper, section 3)."""
        return len(self.points) == 1 and self.box is None and self.mask_logits is None


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Embedding:
    """The image encoder's output for one image.

    Arrays are float16 or float32, all of one dtype, on the CPU and read-only: any thread may hold
    them.

    Attributes:
        features: The coarse level, which also compares images: shape (C, h, w).
        image_size: (height, width) of the original image in pixels.
        input_size: (height, width) of the resized image before padding to the model's square.
        cell_channels: So many channels, the first ones, say what a cell shows; the others are finer
            features for sharp masks (`high_resolution`). None: all do.
        finer: Further levels for the family's decoder, each of three dimensions, in its order.
    """

    features: npt.NDArray[np.floating]
    image_size: tuple[int, int]
    input_size: tuple[int, int]
    cell_channels: int | None = None
    finer: tuple[npt.NDArray[np.floating], ...] = ()

    @property
    def cells(self) -> npt.NDArray[np.floating]:
        """What each cell shows, for comparing images and objects: shape (`cell_channels`, h, w)."""
        return self.features[: self.cell_channels]

    @property
    def n_bytes(self) -> int:
        """Memory held, in bytes."""
        return sum(int(level.nbytes) for level in (self.features, *self.finer))


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A mask the model proposes for one prompt.

    Attributes:
        rle: The mask at the original image's size.
        predicted_iou: The model's own estimate of the mask's IoU; it may exceed 1.
        stability: IoU of the mask thresholded at -1 and +1 logits (paper, appendix B).
        logits: Low-resolution logits, shape (L, L) float32: the mask prompt of the next refinement.
    """

    rle: RLE
    predicted_iou: float
    stability: float
    logits: npt.NDArray[np.float32]

    @property
    def mask(self) -> Mask:
        """The mask's pixels, shape (H, W) bool; decoded anew at each call."""
        return decode(self.rle)


@dataclass(frozen=True, slots=True)
class ScanThresholds:
    """Which masks of a scan are kept.

    Attributes:
        min_predicted_iou: Only masks above it (`SamAutomaticMaskGenerator` keeps `>`); None: all.
        min_stability: Only masks of at least this stability; None: all.
        stability_offset: Distance of stability's two cuts from the mask's own, in logits.
    """

    min_predicted_iou: float | None = None
    min_stability: float | None = None
    stability_offset: float = 1.0


ALL_MASKS = ScanThresholds()


@dataclass(frozen=True, slots=True, eq=False)
class PointMask:
    """One of the masks that a click in a grid of clicks may mean.

    Attributes:
        point: Which of the clicks.
        mask_index: Which of the decoder's three answers (0 to 2), in the decoder's order.
        rle: The mask at the original image's size.
        box: First and last column and row of the mask, shape (4,) int64, x0 y0 x1 y1, as
            `segment_anything.utils.amg.batched_mask_to_box`; four zeros for an empty mask.
        area_px: Pixels of the mask.
        predicted_iou: The model's own estimate of the mask's IoU; it may exceed 1.
        stability: IoU of the mask thresholded at -1 and +1 logits (paper, appendix B).
    """

    point: int
    mask_index: int
    rle: RLE
    box: npt.NDArray[np.int64]
    area_px: int
    predicted_iou: float
    stability: float


def _array(name: str, value: npt.ArrayLike, wanted: str) -> npt.NDArray[Any]:
    """Return numbers or truth values as an array.

    Raises:
        PromptError: The value is something else, or its rows have different lengths.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError):  # torch raises all three of its own tensors
        array = np.array(None)
    if array.dtype.kind not in "fiub":
        raise PromptError(f"{name} must be {wanted}, not {value!r:.80}")
    return array


def _points(value: npt.ArrayLike | None) -> npt.NDArray[np.float32]:
    if value is None:
        return np.zeros((0, 2), np.float32)
    points = _array("points", value, "pairs of numbers, x before y")
    if points.shape == (0,):
        return np.zeros((0, 2), np.float32)
    if points.ndim != 2 or points.shape[1] != 2:
        hint = "; write one point as [(x, y)]" if points.shape == (2,) else ""
        raise PromptError(f"points must have shape (N, 2), not {points.shape}{hint}")
    if not np.isfinite(points).all():
        raise PromptError(f"points must be finite, not {points.tolist()!s:.80}")
    return points.astype(np.float32, copy=False)


def _labels(value: npt.ArrayLike | None, n_points: int) -> npt.NDArray[np.bool_]:
    if value is None:
        return np.ones(n_points, np.bool_)
    labels = _array("labels", value, "True or False for each point")
    if labels.shape != (n_points,):
        raise PromptError(
            f"labels must have shape ({n_points},), one for each point, not {labels.shape}"
        )
    if labels.dtype != np.bool_ and not np.isin(labels, (0, 1)).all():
        raise PromptError(
            "labels must be True or 1 for foreground, False or 0 for background, not "
            f"{labels.tolist()!s:.80}"
        )
    return labels.astype(np.bool_, copy=False)


def _box(value: npt.ArrayLike) -> npt.NDArray[np.float32]:
    box = _array("box", value, "four finite numbers, x0 y0 x1 y1")
    if box.shape != (4,) or not np.isfinite(box).all():
        raise PromptError(f"box must be four finite numbers, not {box.tolist()!s:.80}")
    x0, y0, x1, y1 = box.tolist()
    if x1 <= x0 or y1 <= y0:
        raise PromptError(
            f"box must have an area: x0 y0 x1 y1 with x0 < x1 and y0 < y1, not {box.tolist()}"
        )
    return box.astype(np.float32, copy=False)


def _mask_logits(value: npt.ArrayLike) -> npt.NDArray[np.float32]:
    logits = _array("mask_logits", value, "logits")
    if logits.ndim != 2 or not np.isfinite(logits).all():
        raise PromptError(f"mask_logits must be finite with shape (L, L), not {logits.shape}")
    return logits.astype(np.float32, copy=False)
