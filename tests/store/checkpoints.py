"""Checkpoints that only look like some, for tests that read cards alone."""

import json
from pathlib import Path


def put(store: Path, version: str, family: str = "starter", **fields: object) -> Path:
    """A checkpoint whose weights nobody will read."""
    folder = store / version
    folder.mkdir(parents=True)
    (folder / "weights.pth").write_bytes(b"weights")
    card = {
        "name": version,
        "family": family,
        "version": version,
        "sha256": "0" * 64,
        "source": "a test",
        "licence": "Apache-2.0",
        "training_data": "none",
    }
    (folder / "card.json").write_text(json.dumps(card | fields))
    return folder
