"""Prompts, embeddings and candidates: what goes into the model layer and what comes out."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sam_backend.errors import PromptError
from sam_backend.masks.rle import RLE, decode
from sam_backend.masks.types import Mask


def _no_points() -> npt.NDArray[np.float32]:
    return np.zeros((0, 2), dtype=np.float32)


def _no_flags() -> npt.NDArray[np.bool_]:
    return np.zeros(0, dtype=np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """What one object is asked for with: points, a box and a mask, in any combination.

    Attributes:
        xy: Clicks in pixels of the original image, shape (N, 2) float32, x before y.
        is_positive: True for foreground clicks, shape (N,) bool.
        box: Box in pixels of the original image, shape (4,) float32, x0 y0 x1 y1; None without.
        mask_logits: Previous low-resolution logits of the padded model input, shape (L, L)
            float32 with L the model's mask side (256 for ViT-B/L/H); None without.

    Raises:
        PromptError: A shape is wrong, a number is not finite, the box is empty, or nothing is
            asked.
    """

    xy: npt.NDArray[np.float32] = field(default_factory=_no_points)
    is_positive: npt.NDArray[np.bool_] = field(default_factory=_no_flags)
    box: npt.NDArray[np.float32] | None = None
    mask_logits: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.xy.ndim != 2 or self.xy.shape[1] != 2:
            raise PromptError(f"xy must have shape (N, 2), not {self.xy.shape}")
        if self.is_positive.shape != (len(self.xy),):
            raise PromptError(
                f"is_positive must have shape ({len(self.xy)},), not {self.is_positive.shape}"
            )
        if not np.isfinite(self.xy).all():
            raise PromptError(f"xy must be finite, not {self.xy.tolist()}")
        if self.box is not None:
            if self.box.shape != (4,) or not np.isfinite(self.box).all():
                raise PromptError(f"box must be four finite numbers, not {self.box.tolist()}")
            x0, y0, x1, y1 = self.box.tolist()
            if x1 <= x0 or y1 <= y0:
                raise PromptError(f"box must have an area, not {self.box.tolist()}")
        if self.mask_logits is not None and (
            self.mask_logits.ndim != 2 or not np.isfinite(self.mask_logits).all()
        ):
            raise PromptError(
                f"mask_logits must be finite with shape (L, L), not {self.mask_logits.shape}"
            )
        if not len(self.xy) and self.box is None and self.mask_logits is None:
            raise PromptError("a prompt needs a point, a box or a mask")

    @property
    def is_ambiguous(self) -> bool:
        """True for a lone click: it may mean the whole, a part or a subpart (paper, section 3)."""
        return len(self.xy) == 1 and self.box is None and self.mask_logits is None


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Embedding:
    """The image encoder's output for one image.

    Attributes:
        features: Shape (C, h, w), float16 or float32, on the CPU: any thread may hold it.
        image_size: (height, width) of the original image in pixels.
        input_size: (height, width) of the resized image before padding to the model's square.
        cell_channels: So many channels, the first ones, say what a cell shows; the others are finer
            features for sharp masks (`high_resolution`). None: all do.
    """

    features: npt.NDArray[np.floating]
    image_size: tuple[int, int]
    input_size: tuple[int, int]
    cell_channels: int | None = None

    @property
    def cells(self) -> npt.NDArray[np.floating]:
        """What each cell shows, for comparing images and objects: shape (`cell_channels`, h, w)."""
        return self.features[: self.cell_channels]

    @property
    def n_bytes(self) -> int:
        """Memory held, in bytes."""
        return int(self.features.nbytes)


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
