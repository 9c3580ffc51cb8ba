"""How a checkpoint lies on disk: a folder with a weights file and a card."""

import hashlib
from pathlib import Path

from sam_backend.errors import ModelStoreError

WEIGHTS_NAMES = ("weights.safetensors", "weights.pth")
CARD_NAME = "card.json"


def weights_file(folder: Path) -> Path:
    """The weights inside a model-store folder.

    Raises:
        ModelStoreError: There are none.
    """
    for name in WEIGHTS_NAMES:
        if (folder / name).is_file():
            return folder / name
    raise ModelStoreError(f"{folder} has no {' or '.join(WEIGHTS_NAMES)}")


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
