"""Weights as they ship: safetensors in half precision."""

from pathlib import Path

from safetensors.torch import save_file

from sam_backend.files import replacing
from sam_backend.sam.checkpoint_files import sha256_of
from sam_backend.sam.reference import Sam


def save_weights(sam: Sam, file: Path) -> str:
    """Write a network's weights in half precision; a half-written file never carries its name.

    Reading them back gives slightly other values: judge what was read back, not what was trained.

    Args:
        sam: Sam of plain weights, without adapters.
        file: Ends in `.safetensors`; its folder exists.

    Returns:
        sha256 of the file, lower-case hex.
    """
    halves = {
        name: (weight.half() if weight.is_floating_point() else weight).cpu().contiguous()
        for name, weight in sam.state_dict().items()
    }
    with replacing(file) as unfinished:
        save_file(halves, unfinished)
    return sha256_of(file)
