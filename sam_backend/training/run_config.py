"""What a run folder belongs to: a network, a data set and a plan; written once, checked after."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from sam_backend.datasets.types import Dataset
from sam_backend.errors import InvalidInputError
from sam_backend.files import replacing
from sam_backend.sam.reference import Sam
from sam_backend.training.plan import TrainingPlan

CONFIG_NAME = "config.json"


class OtherRunError(InvalidInputError):
    """A run folder belongs to another run."""


def run_config(sam: Sam, family: str, data: Dataset, plan: TrainingPlan) -> dict[str, Any]:
    """A run as JSON values: same values, same result on the same machine."""
    config = {
        "family": family,
        "weights_digest": _weights_digest(sam),
        "data": {
            "name": data.name,
            "digest": data.digest,
            "images": len(data),
            "masks": data.n_masks,
            "licence": data.licence,
        },
        "plan": asdict(plan),
        "device": str(sam.device),
        "torch": torch.__version__,
    }
    as_read: dict[str, Any] = json.loads(json.dumps(config))
    return as_read


def claim_folder(folder: Path, config: dict[str, Any]) -> None:
    """Write `config` into a new run folder, or check that a used one belongs to the same run.

    Raises:
        OtherRunError: The folder belongs to another run; names what differs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / CONFIG_NAME
    if not file.exists():
        with replacing(file) as unfinished:
            unfinished.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        return
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise OtherRunError(f"{file} is damaged: {error}") from error
    before, now = _flat(before), _flat(config)
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            raise OtherRunError(
                f"{folder} belongs to another run: its {name} is {before.get(name)!r},"
                f" now it is {now.get(name)!r}"
            )


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _weights_digest(sam: Sam) -> str:
    """sha256 over the names and values of all weights, lower-case hex."""
    digest = hashlib.sha256()
    for name, weight in sorted(sam.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
