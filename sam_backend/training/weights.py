"""Weights as they ship: safetensors in half precision."""

import hashlib
from pathlib import Path

from safetensors.torch import save_file

from sam_backend.sam.reference import Sam


def save_weights(sam: Sam, file: Path) -> str:
    """Write a network's weights in half precision; a half-written file never carries its name.

    Reading them back gives slightly other values: judge what was read back, not what was trained.

    Args:
        sam: Of plain weights, without adapters.
        file: Ends in `.safetensors`; its folder exists.

    Returns:
        sha256 of the file, lower-case hex.
    """
    halves = {
        name: (weight.half() if weight.is_floating_point() else weight).cpu().contiguous()
        for name, weight in sam.state_dict().items()
    }
    partial = file.with_suffix(".partial")
    save_file(halves, partial)
    partial.replace(file)
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
