"""The arithmetic an image encoder runs in, and which one a device is fast at."""

from enum import StrEnum

import torch

from sam_backend.errors import InvalidInputError


class Precision(StrEnum):
    """How exactly an image is encoded; masks are decoded in float32.

    float32 gives the reference's masks (logits within 1e-5 of the largest). bfloat16 moves mask
    borders a little (embedding within 1.5 %). int8 changes results: it is never chosen unasked.
    """

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"

    @property
    def dtype(self) -> torch.dtype:
        """What everything but the encoder's linear layers is computed in."""
        return torch.bfloat16 if self is Precision.BFLOAT16 else torch.float32


def choose_precision(name: str, device: torch.device) -> Precision:
    """The precision of that name on this device; `auto` takes bfloat16 where it is fast.

    Only the device is asked and nothing is timed, so the answer, which is part of a model's
    version, is known before weights are read.

    Args:
        name: auto, float32, bfloat16 or int8.
        device: Where the network is to run.

    Raises:
        InvalidInputError: The name is unknown, or the device cannot.
    """
    if name == "auto":
        return Precision.BFLOAT16 if has_fast_bfloat16(device) else Precision.FLOAT32
    if name not in set(Precision):
        known = ", ".join(["auto", *Precision])
        raise InvalidInputError(f"precision must be one of {known}, not {name!r}")
    precision = Precision(name)
    if precision is Precision.INT8 and device.type != "cpu":
        raise InvalidInputError(f"precision int8 runs on the CPU only, not on {str(device)!r}")
    if precision is Precision.BFLOAT16 and not can_bfloat16(device):
        raise InvalidInputError(f"this machine's {str(device)!r} cannot compute in bfloat16")
    return precision


def has_fast_bfloat16(device: torch.device) -> bool:
    """True with instructions for bfloat16 products: NVIDIA's since Ampere (8.0), AMX, AVX512-BF16.

    AVX512-BF16 alone made ViT-B's encoder 1.7 times as fast as in float32.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def can_bfloat16(device: torch.device) -> bool:
    """True with instructions, or on a CPU kernels of oneDNN's, that make bfloat16 worth while."""
    if device.type == "cuda":
        return has_fast_bfloat16(device)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
