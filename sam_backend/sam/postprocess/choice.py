"""The fastest way to masks that this machine and the logits' device allow."""

from functools import cache
from types import ModuleType

import torch

from sam_backend.errors import InvalidInputError
from sam_backend.sam.postprocess import reference, tensors
from sam_backend.sam.postprocess.types import Frame, MaskShape


def shapes(
    logits: torch.Tensor, frame: Frame, threshold: float = 0.0, offset: float = 1.0
) -> list[MaskShape]:
    """The masks that low-resolution logits stand for, in their order.

    Equal to `segment_anything`'s `Sam.postprocess_masks`, threshold, `calculate_stability_score`,
    `batched_mask_to_box` and `mask_to_rle_pytorch`, whichever way is taken: compiled code for
    logits on the CPU (the reference where Numba is absent), tensors on any other device.

    Args:
        logits: Shape (N, L, L) float32, on any device.
        frame: Where they lie in the image.
        threshold: Logits above it are the mask.
        offset: Distance of the two cuts between which stability is measured, in logits.

    Raises:
        InvalidInputError: The logits do not fit the frame, or the offset is negative.
    """
    side = frame.mask_side
    if logits.ndim != 3 or logits.shape[1:] != (side, side) or logits.dtype != torch.float32:
        raise InvalidInputError(
            f"logits must be float32 of shape (N, {side}, {side}), "
            f"not {logits.dtype} of {tuple(logits.shape)}"
        )
    if offset < 0:
        raise InvalidInputError(f"the offset must not be negative, not {offset}")
    logits = logits.detach()
    if logits.device.type != "cpu":
        return tensors.shapes(logits, frame, threshold, offset)
    ours = _compiled()
    if ours is None:
        return [reference.shape(plane, frame, threshold, offset) for plane in logits]
    answers: list[MaskShape] = ours.shapes(logits, frame, threshold, offset)
    return answers


def warm_up() -> None:
    """Loads or compiles the compiled way (seconds the first time), so that no click waits for it.

    For a server to call on a thread while it reads its model.
    """
    shapes(torch.zeros(1, 4, 4), Frame(4, 16, (16, 16), (16, 16)))


@cache
def _compiled() -> ModuleType | None:
    """The compiled way; None where Numba cannot be imported."""
    try:
        from sam_backend.sam.postprocess import compiled
    except ImportError:
        return None
    return compiled
