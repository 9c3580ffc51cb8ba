"""Retraining at every depth: what changes, what stays, and that a killed run ends the same."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from segment_anything.modeling import Sam

from sam_backend.datasets.types import Dataset
from sam_backend.errors import InvalidInputError
from sam_backend.masks import rle
from sam_backend.progress import Progress
from sam_backend.sam.checkpoints import load
from sam_backend.training.loop import CHECKPOINT_NAME, Ending
from sam_backend.training.metrics import METRICS_NAME
from sam_backend.training.plan import Depth
from sam_backend.training.retraining import CURVES_NAME, FEATURES_FOLDER, retrain
from sam_backend.training.run_config import CONFIG_NAME
from sam_backend.training.weights import save_weights
from tests.training import retraining_process
from tests.training.tiny import mask_of, squares, tiny_plan, tiny_sam

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "model_store" / "starter-3"


def changed(before: Sam, after: Sam) -> set[str]:
    old, new = before.state_dict(), after.state_dict()
    assert set(old) == set(new)
    return {name for name in old if not torch.equal(old[name], new[name])}


@pytest.mark.parametrize("depth", list(Depth))
def test_each_depth_changes_its_weights_and_no_others(depth: Depth, tmp_path: Path) -> None:
    result = retrain(
        tiny_sam(), "tiny", squares(tmp_path / "images"), tiny_plan(depth), tmp_path / "run"
    )
    assert (result.ending, result.steps, result.best_step) == (Ending.SPENT, 4, 4)
    assert dict(result.judged) == dict(result.skipped) == {}
    assert not result.sam.training
    assert not any(p.requires_grad for p in result.sam.parameters())
    names = changed(tiny_sam(), result.sam)
    in_encoder = {name for name in names if name.startswith("image_encoder")}
    assert names - in_encoder
    if depth is Depth.DECODER:
        assert not in_encoder
    elif depth is Depth.ADAPTER:
        assert in_encoder == {f"image_encoder.blocks.{i}.attn.qkv.weight" for i in (0, 1)}
    else:
        assert {"image_encoder.pos_embed", "image_encoder.neck.0.weight"} <= in_encoder
    written = {path.name for path in (tmp_path / "run").iterdir()}
    assert {CONFIG_NAME, CHECKPOINT_NAME} <= written
    assert (FEATURES_FOLDER in written) == (depth is Depth.DECODER)


def test_retraining_learns_squares_and_keeps_the_best_step(tmp_path: Path) -> None:
    plan = tiny_plan(steps=60, judge_every=20)
    heard: list[Progress] = []
    judged: list[Sam] = []

    def judge(sam: Sam) -> float:
        judged.append(sam)
        return [0.1, 0.2, 0.9, 0.3][len(judged) - 1]

    data = squares(tmp_path / "images")
    result = retrain(tiny_sam(), "tiny", data, plan, tmp_path, judge=judge, observe=heard.append)
    assert dict(result.judged) == {0: 0.1, 20: 0.2, 40: 0.9, 60: 0.3}
    assert result.best_step == 40
    losses = [p.loss for p in heard if p.stage == "training"]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert [p.done for p in heard if p.stage == "embedding"] == [0, 1, 2]
    assert {p.held_out for p in heard if p.stage == "training" and p.done == 41} == {0.9}
    assert (tmp_path / CURVES_NAME).read_bytes().startswith(b"\x89PNG")
    config = json.loads((tmp_path / CONFIG_NAME).read_text())
    assert config["data"]["digest"] == data.digest
    assert config["plan"]["steps"] == 60


def test_the_starter_is_retrained_and_read_back(tmp_path: Path) -> None:
    version = tmp_path / "weights.safetensors"
    parent = load(STARTER)
    result = retrain(
        parent.sam, parent.family, squares(tmp_path / "images", 2), tiny_plan(steps=2), tmp_path
    )
    save_weights(result.sam, version)
    loaded = load(version)
    assert loaded.family == "starter_lite"
    names = changed(load(STARTER).sam, loaded.sam)
    assert names
    assert not any(name.startswith("image_encoder") for name in names)


def test_a_run_killed_in_the_middle_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    images, folder = tmp_path / "images", tmp_path / "killed"
    retraining_process.run(images, tmp_path / "whole", lambda progress: None)
    module = retraining_process.__name__
    command = [sys.executable, "-m", module, str(images), str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as killed:
        for line in killed.stdout or ():
            if line == "training 7\n":
                killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    assert not (folder / "weights.safetensors").exists()
    told: list[Progress] = []
    retraining_process.run(images, folder, told.append)
    steps = [progress.done for progress in told if progress.stage == "training"]
    assert steps == list(range(7, 13)) or steps == list(range(9, 13))  # went on from a checkpoint
    one = load_file(tmp_path / "whole" / "weights.safetensors")
    other = load_file(tmp_path / "killed" / "weights.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in one)

    def written(folder: str) -> list[dict[str, object]]:
        lines = (tmp_path / folder / METRICS_NAME).read_text().splitlines()
        return [{**json.loads(line), "elapsed_s": 0} for line in lines]

    assert written("whole") == written("killed")


@pytest.mark.parametrize("depth", list(Depth))
def test_a_run_may_be_stopped_at_any_time_and_goes_on(depth: Depth, tmp_path: Path) -> None:
    data, plan = squares(tmp_path / "images"), tiny_plan(depth, steps=3)
    whole = retrain(tiny_sam(), "tiny", data, plan, tmp_path / "whole")
    n_images = len(data) if depth is Depth.DECODER else 0
    for n_questions in (0, n_images, n_images + 1, n_images + 1):  # before each image and step
        questions = iter([False] * n_questions + [True])
        result = retrain(
            tiny_sam(), "tiny", data, plan, tmp_path / "run", stop=lambda q=questions: next(q)
        )
        assert result.ending is Ending.STOPPED
    assert result.steps == 2
    result = retrain(tiny_sam(), "tiny", data, plan, tmp_path / "run")
    assert result.ending is Ending.SPENT
    assert not changed(whole.sam, result.sam)


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    data = squares(tmp_path / "images")
    retrain(tiny_sam(), "tiny", data, tiny_plan(steps=1), tmp_path)
    fewer = replace(data, images=data.images[:2])
    for sam, family, data_, plan, name in (
        (tiny_sam(1), "tiny", data, tiny_plan(steps=1), "weights_digest"),
        (tiny_sam(), "other", data, tiny_plan(steps=1), "family"),
        (tiny_sam(), "tiny", fewer, tiny_plan(steps=1), r"data\.digest"),
        (tiny_sam(), "tiny", data, tiny_plan(steps=2), r"plan\.steps is 1, now it is 2"),
    ):
        with pytest.raises(InvalidInputError, match=f"another run.*{name}"):
            retrain(sam, family, data_, plan, tmp_path)


@pytest.mark.parametrize("depth", list(Depth))
def test_bad_masks_and_images_are_skipped_with_a_count(depth: Depth, tmp_path: Path) -> None:
    data = squares(tmp_path / "images", 4)
    first, gone, broken, last = data.images
    gone.path.unlink()
    broken.path.write_bytes(b"no image")
    first = replace(first, masks=(*first.masks, mask_of(0), mask_of(2)))
    empty = replace(last, masks=(mask_of(0),))
    mixed = Dataset("mixed", (first, gone, broken, empty))
    result = retrain(tiny_sam(), "tiny", mixed, tiny_plan(depth, steps=6), tmp_path / "run")
    assert result.steps == 6
    assert dict(result.skipped) == {
        "empty mask": 2,
        "mask too small": 1,
        "unreadable image": 2,
    }


@pytest.mark.parametrize("depth", list(Depth))
def test_data_that_nothing_can_be_learned_from_is_refused(depth: Depth, tmp_path: Path) -> None:
    data = squares(tmp_path / "images", 1)
    useless = replace(data.images[0], masks=(mask_of(0), mask_of(1)))
    with pytest.raises(InvalidInputError, match=r"left out: 1 x empty mask \(0\.png"):
        retrain(tiny_sam(), "tiny", Dataset("useless", (useless,)), tiny_plan(depth), tmp_path)


def test_masks_of_the_whole_image_do_no_harm(tmp_path: Path) -> None:
    data = squares(tmp_path / "images", 1)
    whole = rle.encode(~rle.decode(mask_of(0).rle))
    everything = replace(data.images[0], masks=(replace(data.images[0].masks[0], rle=whole),))
    result = retrain(tiny_sam(), "tiny", Dataset("x", (everything,)), tiny_plan(), tmp_path)
    assert all(torch.isfinite(weight).all() for weight in result.sam.state_dict().values())
