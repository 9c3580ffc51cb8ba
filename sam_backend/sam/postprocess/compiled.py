"""Many masks at once through the compiled kernel, on as many threads as torch has.

Imports Numba: import it where it is first needed.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch

from sam_backend.masks.rle import RLE
from sam_backend.sam.postprocess import reference
from sam_backend.sam.postprocess.kernel import MARGIN, Cuts, sweep
from sam_backend.sam.postprocess.machine_code import again_if_not_kept
from sam_backend.sam.postprocess.resampling import Axis, axis
from sam_backend.sam.postprocess.types import Frame, MaskShape, stability_of


def shapes(logits: torch.Tensor, frame: Frame, threshold: float, offset: float) -> list[MaskShape]:
    """The masks of logits on the CPU, shape (N, L, L) float32.

    The kernel tells from the largest logit how far rounding reaches; planes without one (a NaN, an
    infinity) take the reference.
    """
    planes = logits.contiguous()
    peaks = planes.abs().amax(dim=(1, 2)).tolist()
    cuts = np.array([threshold - offset, threshold, threshold + offset], np.float32)
    rows, columns = _axes(frame)

    def shape(plane: torch.Tensor, peak: float) -> MaskShape:
        if not math.isfinite(peak):
            return reference.shape(plane, frame, threshold, offset)
        margin = np.float32(MARGIN * max(peak, abs(threshold) + offset))
        swept = again_if_not_kept(sweep, plane.numpy(), rows, columns, Cuts(cuts, margin))
        lower_px, area_px, higher_px = swept.n_above.tolist()
        rle = RLE(frame.image_size, swept.counts)
        return MaskShape(rle, swept.box, area_px, stability_of(higher_px, lower_px))

    n_threads = min(torch.get_num_threads(), len(planes))
    if n_threads <= 1:
        return [shape(plane, peak) for plane, peak in zip(planes, peaks, strict=True)]
    with ThreadPoolExecutor(n_threads) as threads:
        return list(threads.map(shape, planes, peaks))


@lru_cache(maxsize=64)
def _axes(frame: Frame) -> tuple[Axis, Axis]:
    """The rows' and the columns' sums; images are clicked many times, some in turn."""
    side, square = frame.mask_side, frame.input_side
    (input_height, input_width), (height, width) = frame.input_size, frame.image_size
    return axis(side, square, input_height, height), axis(side, square, input_width, width)
