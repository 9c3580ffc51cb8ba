"""From low-resolution logits to masks of the original size: run lengths, box, area, stability."""

from sam_backend.sam.postprocess.choice import shapes, warm_up
from sam_backend.sam.postprocess.types import Frame, MaskShape

__all__ = ["Frame", "MaskShape", "shapes", "warm_up"]
