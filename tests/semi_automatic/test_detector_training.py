"""A detector from order to proposals: trained as a job, kept, and asked by name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sam_backend.datasets.manifest import write_manifest
from sam_backend.errors import InvalidInputError, ModelStoreError
from sam_backend.progress import Progress
from sam_backend.semi_automatic.detector_training import (
    MIN_IMAGES,
    DetectorRequest,
    run_detector_training,
)
from sam_backend.semi_automatic.proposers import Place, proposer_named
from sam_backend.serving.champion import Champion
from sam_backend.settings import Settings
from sam_backend.store.detectors import DetectorStore
from sam_backend.store.job_handling import StoppedError
from tests.semi_automatic.served import scene_subject, served_starter
from tests.training.test_detector import pictures

ORDER = DetectorRequest(project=3, side_px=64, steps=3)


@pytest.fixture(scope="module")
def champion() -> Iterator[Champion]:
    with served_starter() as champion:
        yield champion


def run_folder(folder: Path, name: str) -> Path:
    """A run whose masks have been pulled."""
    run = folder / "runs" / name
    run.mkdir(parents=True)
    images = folder / "images"
    images.mkdir(exist_ok=True)
    write_manifest(pictures(images, range(8)), run / "manifest.jsonl")
    return run


def test_from_order_to_proposals(champion: Champion, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, device="cpu")
    told: list[Progress] = []
    result = run_detector_training(
        ORDER, run_folder(tmp_path, "first"), settings, told.append, lambda: False
    )
    assert result["version"] == "first"
    assert result["images"] + result["held_out_images"] == 8
    assert [state.done for state in told if state.loss is not None] == [1, 2, 3]
    card, weights = DetectorStore(tmp_path, 3).get()
    assert (card.version, card.network, card.side_px) == ("first", "mobilenet", 64)
    assert weights.is_file()

    place = Place(champion.view().served.checkpoint.card, tmp_path, 3)
    told_few = {"min_score": 0.0, "max_boxes": 4}
    proposer = proposer_named("detector", told_few, place)
    with champion.lease() as model:
        records = proposer.propose(model, scene_subject())
    assert 0 < len(records) <= 4
    assert {one.settings for one in records} == {proposer.fingerprint}
    sure = proposer_named("detector", {"min_score": 1.0}, place)
    assert sure.fingerprint != proposer.fingerprint
    with champion.lease() as model:
        assert sure.propose(model, scene_subject()) == []


def test_of_a_few_images_no_detector_is_learned(tmp_path: Path) -> None:
    """An hour of a CPU for one annotated image is nobody's first day."""
    run = tmp_path / "runs" / "first"
    run.mkdir(parents=True)
    write_manifest(pictures(tmp_path, range(MIN_IMAGES - 1)), run / "manifest.jsonl")
    settings = Settings(data_dir=tmp_path, device="cpu")
    with pytest.raises(InvalidInputError, match=r"on 5 images at the least, .* on 4"):
        run_detector_training(ORDER, run, settings, lambda state: None, lambda: False)


def test_stopped_it_goes_on_and_the_newest_is_taken(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, device="cpu")
    steps: list[int] = []

    def report(state: Progress) -> None:
        if state.loss is not None:
            steps.append(state.done)

    run = run_folder(tmp_path, "stopped")
    with pytest.raises(StoppedError):
        run_detector_training(ORDER, run, settings, report, lambda: len(steps) >= 2)
    run_detector_training(ORDER, run, settings, report, lambda: False)
    assert steps == [1, 2, 3]
    run_detector_training(
        ORDER, run_folder(tmp_path, "later"), settings, lambda state: None, lambda: False
    )
    store = DetectorStore(tmp_path, 3)
    assert [card.version for card in store.list()] == ["later", "stopped"]
    assert store.get("stopped")[0].version == "stopped"
    with pytest.raises(ModelStoreError, match=r"no detector gone \(there are: later, stopped\)"):
        store.get("gone")


def test_wrong_orders_are_named() -> None:
    with pytest.raises(InvalidInputError, match="detector request: steps"):
        DetectorRequest.parse({"project": 1, "steps": 0})
    with pytest.raises(InvalidInputError, match="detector request: speed"):
        DetectorRequest.parse({"project": 1, "speed": "high"})
