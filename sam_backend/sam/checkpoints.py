"""Reads a checkpoint into a network: `.pth`, `.pt` and `.safetensors` files, strictly."""

import argparse
import json
import logging
import pathlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from sam_backend.errors import InvalidInputError, ModelStoreError
from sam_backend.sam.checkpoint_files import (
    CARD_NAME,
    is_safetensors,
    no_weights_reason,
    read_config,
    sha256_of,
    weights_file,
)
from sam_backend.sam.families import FAMILIES, SamFamily, family_named
from sam_backend.sam.family import EMPTY, Config, Family, summary
from sam_backend.sam.precision import Precision
from sam_backend.sam.promptable import PromptableModel
from sam_backend.sam.reference import Sam

log = logging.getLogger(__name__)

_WRAPPERS = ("model", "state_dict", "model_state", "model_state_dict")
_MOST_WRAPPERS = 8
_PREFIXES = ("module.", "_orig_mod.", "model.", "sam.")
_OTHERS = (
    # what is in a name, what that checkpoint is, what to do
    ("image_encoder.patch_embed.seq.", "MobileSAM's (TinyViT encodes its images)", "sam2.1_tiny"),
    (".Adapter.", "SAM-Med2D's (adapters in the image encoder)", "vit_b"),
)
"""Known checkpoints that no family runs, and what is near."""
_FOREIGN_CLASS = re.compile(r"GLOBAL ([\w.]+)")

# NumPy 1 and 2 write the module of these functions differently.
_NUMPY_MAKERS: tuple[Any, ...] = (np.float64().__reduce__()[0], np.empty(0).__reduce__()[0])
# What training scripts save beside the weights: arguments, paths, scores. To make one runs nothing
# of the file.
_HARMLESS_CLASSES: list[Any] = [
    argparse.Namespace,
    pathlib.PosixPath,
    np.ndarray,
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int32, np.int64, np.bool_)),
    *(
        (function, f"{module}.{function.__name__}")
        for function in _NUMPY_MAKERS
        for module in ("numpy._core.multiarray", "numpy.core.multiarray")
    ),
]


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A network that is ready to run.

    Attributes:
        network: In eval mode, float32, on the chosen device, without gradients.
        family: Its name in `FAMILIES`.
        version: The checkpoint's version: the card's, or the name of its file or folder.
        sha256: SHA-256 of the weights file, lower-case hex.
    """

    network: nn.Module
    family: str
    version: str
    sha256: str

    @property
    def sam(self) -> Sam:
        """The network of SAM 1 or a starter, for what needs its weights, such as retraining.

        Raises:
            ModelStoreError: It is of another family.
        """
        if not isinstance(self.network, Sam):
            raise ModelStoreError(
                f"{self.version} is of the family {self.family}; only SAM 1 and the starters can "
                "be used here"
            )
        return self.network

    def promptable(
        self, precision: Precision = Precision.FLOAT32, compiled: bool = False
    ) -> PromptableModel:
        """The model that answers prompts.

        Args:
            precision: What the image encoder computes in.
            compiled: Compile with `torch.compile` at the first use, where the family can.

        Raises:
            InvalidInputError: The family cannot compute in this precision.
        """
        family = family_named(self.family)
        return family.promptable(self.network, self.version, self.sha256, precision, compiled)


def choose_device(name: str = "auto") -> torch.device:
    """The device to run on: `auto` takes the first CUDA device if there is one, else the CPU.

    Apple's mps is never chosen: parts of the network (float64 coordinates) do not run there.

    Raises:
        InvalidInputError: The name is no device, or this machine lacks it.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in {"cpu", "cuda"}:
        raise InvalidInputError(f"device must be auto, cpu, cuda or cuda:N, not {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InvalidInputError(
            f"device {name!r} is not here: torch sees {torch.cuda.device_count()} CUDA devices"
        )
    return device


def load(path: Path, device: torch.device | str = "cpu") -> LoadedModel:
    """Reads a model-store folder, a folder of the transformers library, or a bare weights file.

    Weights stored in half precision are widened to float32. A folder's card names the family and
    the sha256, which is checked; a `config.json` without a card names the family; a bare file's
    family is told from the names and shapes of its weights.

    Raises:
        ModelStoreError: Something is missing, damaged, or of another family; names the file.
    """
    is_folder = path.is_dir()
    config = read_config(path) if is_folder else {}
    has_card = is_folder and ((path / CARD_NAME).exists() or not config)
    card = _read_card(path) if has_card else {}
    weights_path = weights_file(path) if is_folder else path
    sha256 = sha256_of(weights_path)
    if card.get("sha256", sha256) != sha256:
        raise ModelStoreError(
            f"{weights_path} is damaged: its sha256 is {sha256}, its card says {card['sha256']}"
        )
    state = read_weights(weights_path)
    named = card.get("family")
    family = detect_family(state, path, config) if named is None else family_named(named)
    read = family.read(state, weights_path, config)
    if read.n_left_out:
        log.info("%s: %d weights that images do not need are left out", path, read.n_left_out)
    return LoadedModel(
        network=read.network.to(device),
        family=family.name,
        version=card.get("version", path.name if is_folder else path.stem),
        sha256=sha256,
    )


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """A checkpoint's state dict on the CPU, floating weights as float32.

    Pickles are read with `weights_only=True`: a checkpoint never runs code. What training scripts
    put around the weights is taken off: a dictionary that has them under `model`, `state_dict`,
    `model_state` or `model_state_dict` beside optimiser and epoch, and the prefixes that
    DataParallel (`module.`), torch.compile (`_orig_mod.`) and wrappers (`model.`, `sam.`) leave.

    Raises:
        ModelStoreError: The file is missing, damaged, or holds something else.
    """
    reason = no_weights_reason(path)
    if reason is not None:
        raise ModelStoreError(f"cannot read weights from {path}: {reason}")
    document = _load_safetensors(path) if is_safetensors(path) else load_pickle(path)
    for key, head in _heads_beside(document).items():
        log.info("%s: the %d weights of %s are left out", path, len(head), key)
    state = _unwrapped(document)
    if not isinstance(state, dict) or not state:
        raise ModelStoreError(f"{path} holds no state dict but a {type(state).__name__}")
    for name, weight in state.items():
        if not isinstance(weight, torch.Tensor):
            raise ModelStoreError(
                f"{path} holds no plain state dict: {name!r} is a {type(weight).__name__}"
            )
    return {
        name: weight.float() if weight.is_floating_point() else weight
        for name, weight in state.items()
    }


def load_pickle(path: Path, device: torch.device | str = "cpu") -> Any:
    """What `torch.save` wrote, as far as it is numbers, texts and tensors: nothing in it is run.

    Arguments (`argparse.Namespace`), paths and NumPy's numbers beside them are read, too.

    Raises:
        ModelStoreError: The file is missing, damaged, or holds objects of other classes. PyTorch's
            own message is not passed on: it advises to switch this protection off.
    """
    try:
        torch.serialization.add_safe_globals(_HARMLESS_CLASSES)
        with path.open("rb") as file:  # by its name torch would take some files for safetensors
            return torch.load(file, map_location=device, weights_only=True)
    except Exception as error:  # torch, pickle and zip each raise their own kinds
        raise ModelStoreError(f"cannot read weights from {path}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    foreign = _FOREIGN_CLASS.search(str(error))
    if foreign is not None:
        return (
            f"it holds objects of the class {foreign[1]}, and to make them would run code of the "
            "file. Where it was trained, save the weights alone: "
            "torch.save(model.state_dict(), file)"
        )
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"it is damaged, cut short or no PyTorch file ({type(error).__name__})"


def _load_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except Exception as error:  # safetensors raises its own kind, and those of files
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise ModelStoreError(f"cannot read weights from {path}: {reason}") from None


def _heads_beside(document: Any) -> dict[str, dict[str, Any]]:
    """Other networks' weights beside those of SAM, such as micro-sam's `decoder_state`."""
    if not isinstance(document, dict) or not any(key in document for key in _WRAPPERS):
        return {}
    return {
        str(key): value
        for key, value in document.items()
        if key not in _WRAPPERS
        and isinstance(value, dict)
        and value
        and all(isinstance(weight, torch.Tensor) for weight in value.values())
    }


def _unwrapped(document: Any) -> Any:
    """The state dict within what a training script has saved; all else as it is."""
    for _ in range(_MOST_WRAPPERS):  # a file may hold a dictionary that is within itself
        if not isinstance(document, dict):
            break
        inner = next((document[key] for key in _WRAPPERS if isinstance(document.get(key), dict)), 0)
        if not inner:
            break
        document = inner
    while isinstance(document, dict) and document:
        prefix = next(
            (one for one in _PREFIXES if all(str(name).startswith(one) for name in document)), None
        )
        if prefix is None:
            break
        document = {name.removeprefix(prefix): weight for name, weight in document.items()}
    return document


def detect_family(state: Mapping[str, torch.Tensor], path: Path, config: Config = EMPTY) -> Family:
    """The family that a checkpoint belongs to.

    Args:
        state: Names and weights.
        path: For messages.
        config: What the `config.json` beside it says; empty if there is none.

    Raises:
        ModelStoreError: None has such weights; names the closest one and how it differs.
    """
    for family in reversed(tuple(FAMILIES.values())):  # the library's first: they look at one name
        if family.owns(state, config):
            return family
    if config:
        raise ModelStoreError(
            f"{path} is a model of the type {config.get('model_type')!r}, which is none of "
            f"{', '.join(FAMILIES)}"
        )
    for part, what, near in _OTHERS:
        if any(part in name for name in state):
            raise ModelStoreError(
                f"{path} is {what}, which is not supported; near to it is {near}: "
                f"sam-backend models pull {near}"
            )
    ours = (family for family in FAMILIES.values() if isinstance(family, SamFamily))
    faults = {family.name: family.differences(state) for family in ours}
    closest = min(faults, key=lambda name: len(faults[name]))
    raise ModelStoreError(
        f"{path} fits no model family; the closest is {closest}: {summary(faults[closest])}"
    )


def _read_card(folder: Path) -> dict[str, str]:
    path = folder / CARD_NAME
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        return {key: str(card[key]) for key in ("family", "version", "sha256")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelStoreError(
            f"{path} is no model card with family, version and sha256: {error!r}"
        ) from error
