"""Judging over damaged files, and stopping in the middle of it."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sam_backend.datasets.types import Dataset
from sam_backend.errors import InvalidInputError
from sam_backend.retraining.gate_evaluation import SHEET_NAME, ValidationScore, compare
from sam_backend.sam.checkpoints import load
from sam_backend.store.job_handling import StoppedError
from sam_backend.store.models import ModelStore, packaged_store
from sam_backend.training.plan import Depth
from tests.bullseyes import bullseye_dataset


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return bullseye_dataset(tmp_path / "images", range(3))


def starter() -> Path:
    """The one that ships."""
    return ModelStore([packaged_store()]).best().folder


def damaged(data: Dataset, number: int) -> Dataset:
    """With one file whose head is whole, as a reader of heads lets it pass."""
    images = list(data.images)
    broken = images[number].path.with_name(f"broken{number}.png")
    broken.write_bytes(images[number].path.read_bytes()[:2000])
    digest = hashlib.sha256(broken.read_bytes()).hexdigest()
    images[number] = replace(images[number], path=broken, digest=digest)
    return replace(data, images=tuple(images))


def test_a_damaged_image_costs_itself_only(data: Dataset, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    sam = load(starter()).sam
    whole = replace(data, images=data.images[:2])
    hurt = damaged(data, 2)
    assert ValidationScore(hurt, Depth.DECODER, 0).score(sam) == ValidationScore(
        whole, Depth.FULL, 0
    ).score(sam)
    verdict = compare(sam, sam, hurt, tmp_path, 0, lambda who, done, of: None)
    assert verdict.champion.n_images == verdict.challenger.n_images == 2
    assert (tmp_path / SHEET_NAME).is_file()
    with pytest.raises(InvalidInputError, match="at least one mask"):
        ValidationScore(replace(hurt, images=hurt.images[2:]), Depth.DECODER, 0).score(sam)


def test_a_look_at_the_held_out_part_can_be_ended(data: Dataset) -> None:
    def check() -> None:
        raise StoppedError("told to")

    sam = load(starter()).sam
    with pytest.raises(StoppedError, match="told to"):
        ValidationScore(data, Depth.DECODER, 0, check).score(sam)
