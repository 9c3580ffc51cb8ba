"""Weights that ship."""

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load_file

from sam_backend.training.weights import save_weights
from tests.training.tiny import tiny_sam


def test_weights_are_halves_and_the_digest_is_the_files(tmp_path: Path) -> None:
    sam, file = tiny_sam(), tmp_path / "weights.safetensors"
    digest = save_weights(sam, file)
    assert digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    halves = load_file(file)
    for name, weight in sam.state_dict().items():
        assert halves[name].dtype == torch.float16
        torch.testing.assert_close(halves[name].float(), weight, atol=1e-3, rtol=1e-3)
