"""`starter train` and `starter release`, end to end with the smallest budgets."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from sam_backend.cli.starter import app
from sam_backend.datasets.manifest import write_manifest
from sam_backend.errors import InvalidInputError
from sam_backend.sam.checkpoints import load
from tests.training.tiny import squares

RUNNER = CliRunner()
SMALL = ["--steps", "1", "--phase", "1,64,2,3"]


@pytest.fixture(autouse=True)
def threads_restored():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def train(out: Path, *options: str) -> Result:
    return RUNNER.invoke(app, ["train", "--out", str(out), *SMALL, *options])


def release(run: Path, folder: Path) -> dict[str, object]:
    options = ["--version", folder.name, "--out", str(folder), "--images", "2"]
    released = RUNNER.invoke(app, ["release", str(run), *options])
    assert released.exit_code == 0, released.output
    card = json.loads(released.stdout)
    assert card == json.loads((folder / "card.json").read_text())
    return card


def test_a_run_becomes_a_checkpoint_of_the_model_store(tmp_path: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "starter-test"
    trained = train(run, "--seed", "3", "--shares", "1,0,1,0", "--mask-only", "--workers", "1")
    assert trained.exit_code == 0, trained.output
    assert "spent: 1 steps" in trained.output
    card = release(run, folder)
    assert card["family"] == "starter"
    assert card["licence"] == "Apache-2.0"
    assert "BSDS" not in card["training_data"]
    assert card["source"] == (
        "trained by this project: sam-backend starter train --out run --steps 1"
        " --shares 1,0,1,0 --phase 1,64,2,3 --mask-only --seed 3"
    )
    model = load(folder)
    assert (model.family, model.version, model.sha256) == (
        "starter",
        "starter-test",
        card["sha256"],
    )


def test_photos_bind_the_licence_of_every_run_after_them(tmp_path: Path) -> None:
    photos = tmp_path / "train.jsonl"
    write_manifest(squares(tmp_path / "photos"), photos)
    first, second = tmp_path / "first", tmp_path / "second"
    assert train(first, "--photos", str(photos), "--shares", "1,0,0,1").exit_code == 0
    assert train(second, "--from", str(first)).exit_code == 0
    card = release(second, tmp_path / "starter-test")
    assert "non-commercial" in card["licence"]
    assert "BSDS500" in card["training_data"]
    assert "--from first" in card["source"]
    assert "--photos train.jsonl" in card["source"]


def test_a_resumed_run_goes_on(tmp_path: Path) -> None:
    assert train(tmp_path / "run").exit_code == 0
    again = train(tmp_path / "run", "--steps", "3", "--resume")
    assert again.exit_code == 0, again.output
    assert "spent: 3 steps" in again.output
    assert json.loads((tmp_path / "run" / "run.json").read_text())["before"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--resume"], "nothing to resume"),
        (["--shares", "1,2"], "--shares needs 4 numbers"),
        (["--phase", "a,b,c,d"], "--phase needs 4 numbers"),
        (["--phase", "0.5,64,2,3"], r"at 1\.0, not at"),
        (["--from", "nowhere"], r"nowhere.run\.json is no record"),
        (["--from", "nowhere", "--resume"], "not both"),
        (["--photos", "nowhere.json"], r"nowhere\.json"),
        (["--shares", "0,0,0,1"], "without photos"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_trained_is_refused(options: list[str], reason: str, tmp_path: Path) -> None:
    steps = [] if "--phase" in options else SMALL
    result = RUNNER.invoke(app, ["train", "--out", str(tmp_path), "--steps", "1", *steps, *options])
    with pytest.raises(InvalidInputError, match=reason):
        raise result.exception


def test_a_run_without_a_budget_or_in_a_used_folder_is_refused(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["train", "--out", str(tmp_path)])
    assert isinstance(result.exception, InvalidInputError)
    assert "steps or minutes" in str(result.exception)
    assert train(tmp_path).exit_code == 0
    assert "holds a run already" in str(train(tmp_path).exception)
