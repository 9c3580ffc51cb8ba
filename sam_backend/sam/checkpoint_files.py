"""How a checkpoint lies on disk: a folder with a weights file and a card."""

import hashlib
import json
from pathlib import Path
from typing import Any

from sam_backend.errors import ModelStoreError

WEIGHTS_NAMES = ("weights.safetensors", "weights.pth", "model.safetensors")
CARD_NAME = "card.json"
CONFIG_NAME = "config.json"

_HEAD_BYTES = 512
_PAGES = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<error", b"<!--")
_MAX_HEADER = 100_000_000  # what the safetensors library reads at the most


def weights_file(folder: Path) -> Path:
    """The weights inside a model-store folder, or a folder of the transformers library.

    Raises:
        ModelStoreError: There are none.
    """
    for name in WEIGHTS_NAMES:
        if (folder / name).is_file():
            return folder / name
    if any(folder.glob("*.safetensors.index.json")):
        raise ModelStoreError(
            f"{folder} has its weights in several files; save them as one model.safetensors"
        )
    raise ModelStoreError(f"{folder} has no {' or '.join(WEIGHTS_NAMES)}")


def read_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a folder, which a network of the transformers library is built from.

    Returns:
        Its values; empty if there is no such file.

    Raises:
        ModelStoreError: The file is no JSON object, or cannot be read.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_bytes())
    except OSError as error:
        raise ModelStoreError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelStoreError(f"{path} is no JSON: {error}") from error
    if not isinstance(config, dict):
        raise ModelStoreError(f"{path} holds no JSON object but a {type(config).__name__}")
    return config


def no_weights_reason(path: Path) -> str | None:
    """What a file holds that was taken for weights, and what to do; None if it may be weights.

    Raises:
        ModelStoreError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise ModelStoreError(f"cannot read {path}: {error.strerror}") from None
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not head:
        return "it is empty: fetch it again"
    if text.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the file itself: `git lfs pull` brings that"
    if text.startswith(_PAGES):
        return (
            "it is a web page, not a weights file: a login, a warning or an error was saved in its "
            "place; fetch it from the address that leads to the file itself"
        )
    return None


def is_safetensors(path: Path) -> bool:
    """Whether a file's content is that of safetensors: the length of a header, then its JSON."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < _MAX_HEADER


def sha256_of(path: Path) -> str:
    """The file's sha256, lower-case hex.

    Raises:
        ModelStoreError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelStoreError(f"cannot read {path}: {error.strerror}") from error
