"""The starter that ships: its card tells the truth about it."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import torch

from sam_backend.engine.starter_release import (
    held_out_leaves,
    held_out_photos,
    held_out_scenes,
    make_ready,
    measure,
    release,
)
from sam_backend.engine.starter_runs import StarterRun
from sam_backend.quality.interactive import InteractiveReport, evaluate
from sam_backend.quality.results import MaskResult
from sam_backend.sam.checkpoints import load
from sam_backend.sam.segmenter import Segmenter
from sam_backend.sam.starter import build_starter
from tests.training.tiny import mask_of, squares

STARTER = Path(__file__).parents[2] / "model_store" / "starter-2"


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_shipped_starter_does_what_its_card_says() -> None:
    card = json.loads((STARTER / "card.json").read_text())
    model = load(STARTER)
    assert model.version == card["version"] == STARTER.name
    assert (STARTER / "weights.safetensors").stat().st_size < 12e6
    quality = evaluate(Segmenter.of(model), held_out_scenes(12), max_clicks=1)
    told = card["measured_quality"]["simple scenes"]["1-click mIoU"]
    # twelve scenes instead of a hundred: the mean wavers
    assert quality.miou_at(1) == pytest.approx(told, abs=0.12)


def test_held_out_sets_stay_the_same() -> None:
    first, again = (next(iter(held_out_scenes(1))) for _ in range(2))
    assert (first.image == again.image).all()
    assert (first.masks == again.masks).all()


def test_a_released_folder_loads_as_what_was_measured(tmp_path: Path) -> None:
    sam = build_starter()
    result = MaskResult("0", "", (0.5, 0.6, 0.7), 0.6, 0.8, 0.3, 0.4, 0.5, 0.5)
    quality = {"simple scenes": InteractiveReport((result,), max_clicks=3)}
    folder = tmp_path / "starter-x"
    run = StarterRun("train b", 200, ("train a",))
    thresholds = {"predicted_iou": 0.3}
    release(sam, folder, "starter-x", date(2026, 1, 2), quality, run, 2.0, thresholds)
    card = json.loads((folder / "card.json").read_text())
    assert "non-commercial" in card["licence"]
    assert "BSDS500" in card["training_data"]
    assert card["source"].endswith("train a; then train b")
    assert card["trained_on"] == "2026-01-02"
    assert (card["automatic"], card["run"]) == (thresholds, {"logit_factor": 2.0})
    assert card["measured_quality"]["simple scenes"]["box mIoU"] == 0.8
    loaded = load(folder)
    assert loaded.version == "starter-x"
    for name, weight in sam.state_dict().items():
        torch.testing.assert_close(loaded.sam.state_dict()[name], weight.half().float())


def test_made_ready_its_logits_are_scaled_and_its_weights_are_halves() -> None:
    sam = load(STARTER).sam
    before = {name: weight.clone() for name, weight in sam.state_dict().items()}
    factor = make_ready(sam, n_scenes=4)
    last = "mask_decoder.output_hypernetworks_mlps.1.layers.2.weight"
    now = sam.state_dict()
    torch.testing.assert_close(now[last], (before[last] * factor).half().float())
    assert all(torch.equal(w, w.half().float()) for w in now.values() if w.is_floating_point())


def test_photos_are_measured_on_large_segments_of_the_first_annotator(tmp_path: Path) -> None:
    photos = squares(tmp_path, n_images=2)
    first = photos.images[0]
    small = mask_of(60)
    other = replace(first.masks[0], annotator="another")
    photos = replace(
        photos, images=(replace(first, masks=(*first.masks, small, other)), photos.images[1])
    )
    samples = list(held_out_photos(photos, 5))
    assert [len(sample.masks) for sample in samples] == [2, 2]
    names = set(measure(build_starter(), photos, n=2))
    scenes = {"simple scenes", "hard scenes", "dead leaves"}
    assert names == scenes | {"photos (squares), segments over 1% of the first annotator"}
    assert set(measure(build_starter(), None, n=2)) == scenes


def test_held_out_leaves_are_large() -> None:
    for sample in held_out_leaves(3):
        assert sample.masks.mean((1, 2)).min() >= 0.01
