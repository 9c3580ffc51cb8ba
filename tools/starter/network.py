"""The network before its first step, and its weights as a file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from sam_backend.errors import InvalidInputError
from sam_backend.sam import checkpoints
from sam_backend.sam.reference import Sam
from sam_backend.sam.starter_lite import LiteEncoder, build_starter_lite
from sam_backend.training.examples import Example
from sam_backend.training.resolution import network_input
from tools.starter.imagenet import load_trunk

SHARED = ("prompt_encoder.", "mask_decoder.")
"""What the starters of both families have in common, by the beginning of the weights' names."""


def begin(seed: int, trunk: Path | None = None, decoder: Path | None = None) -> Sam:
    """A network in train mode on the CPU.

    Args:
        seed: Of the random weights.
        trunk: ImageNet's weights (`imagenet.weights_path`); None: random ones.
        decoder: A checkpoint of the family `starter` whose prompt encoder and mask decoder to take;
            None: random ones.

    Raises:
        InvalidInputError: `trunk` holds other weights, or `decoder` is of another family.
        ModelStoreError: `decoder` cannot be read.
    """
    torch.manual_seed(seed)
    sam = build_starter_lite()
    if trunk is not None:
        load_trunk(sam.image_encoder.trunk, trunk)
    if decoder is not None:
        model = checkpoints.load(decoder)
        if model.family != "starter":
            raise InvalidInputError(f"{decoder} is of the family {model.family}, not starter")
        state = model.sam.state_dict()
        shared = {name: weight for name, weight in state.items() if name.startswith(SHARED)}
        sam.load_state_dict(shared, strict=False)
    return sam.train()


def load_weights(sam: Sam, file: Path) -> None:
    """Give `sam` the weights of a file of the family `starter_lite`.

    Raises:
        InvalidInputError: It holds other weights.
        ModelStoreError: It cannot be read.
    """
    try:
        sam.load_state_dict(checkpoints.read_weights(file))
    except RuntimeError as error:
        raise InvalidInputError(f"{file} holds no weights of starter_lite: {error}") from error


@torch.no_grad()
def level_taps(sam: Sam, examples: Sequence[Example]) -> None:
    """Make what the encoder's first own layers see about as large as their random weights expect.

    The trunk's maps deviate by about 0.5 to 10. A layer that reads one of them is divided by its
    deviation over a few examples, once, before training.
    """
    encoder: LiteEncoder = sam.image_encoder
    maps = encoder.trunk(network_input(sam, examples))
    fusion, fine = encoder.fusion, encoder.fine
    readers = [
        (fine.from2,),
        (fusion.from4, fine.from4),
        (fusion.from8, fine.from8),
        (fusion.from16,),
        (fusion.from32,),
    ]
    for tapped, layers in zip(maps, readers, strict=True):
        scale = float(np.sqrt(tapped.square().mean().item()))
        for layer in layers:
            layer.weight /= scale
