"""Many masks at once through the compiled kernel, on as many threads as torch has.

Imports Numba: import it where it is first needed.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from sam_backend.masks.rle import RLE
from sam_backend.sam.postprocess.kernel import MARGIN, Cuts, Swept, sweep
from sam_backend.sam.postprocess.resampling import Axis, axis
from sam_backend.sam.postprocess.types import Frame, MaskShape, stability_of


def shapes(logits: torch.Tensor, frame: Frame, threshold: float, offset: float) -> list[MaskShape]:
    """The masks of finite logits on the CPU, shape (N, L, L) float32."""
    planes = logits.contiguous().numpy()
    cuts = np.array([threshold - offset, threshold, threshold + offset], np.float32)
    rows, columns = _axes(frame)

    def shape(plane: npt.NDArray[np.float32]) -> MaskShape:
        margin = np.float32(MARGIN * max(np.abs(plane).max(), np.abs(cuts).max()))
        swept = _sweep(plane, rows, columns, Cuts(cuts, margin))
        lower_px, area_px, higher_px = swept.n_above.tolist()
        rle = RLE(frame.image_size, swept.counts)
        return MaskShape(rle, swept.box, area_px, stability_of(higher_px, lower_px))

    n_threads = min(torch.get_num_threads(), len(planes))
    if n_threads <= 1:
        return [shape(plane) for plane in planes]
    with ThreadPoolExecutor(n_threads) as threads:
        return list(threads.map(shape, planes))


def _sweep(plane: npt.NDArray[np.float32], rows: Axis, columns: Axis, cuts: Cuts) -> Swept:
    try:
        return sweep(plane, rows, columns, cuts)
    except OSError:
        # The machine code could not be kept (a full disk); it is in memory by now.
        return sweep(plane, rows, columns, cuts)


@lru_cache(maxsize=8)
def _axes(frame: Frame) -> tuple[Axis, Axis]:
    """The rows' and the columns' sums; an image is clicked many times."""
    side, square = frame.mask_side, frame.input_side
    (input_height, input_width), (height, width) = frame.input_size, frame.image_size
    return axis(side, square, input_height, height), axis(side, square, input_width, width)
