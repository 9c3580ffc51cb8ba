"""`train starter` and `train release`, end to end with the smallest budgets."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from sam_backend.cli.train import app
from sam_backend.sam.checkpoints import load

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def threads_restored():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_run_becomes_a_checkpoint_of_the_model_store(tmp_path: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "starter-test"
    trained = RUNNER.invoke(app, ["starter", "--out", str(run), "--steps", "1", "--seed", "3"])
    assert trained.exit_code == 0, trained.output
    options = ["--version", "starter-test", "--out", str(folder), "--images", "2"]
    released = RUNNER.invoke(app, ["release", str(run), *options])
    assert released.exit_code == 0, released.output
    card = json.loads(released.stdout)
    assert card == json.loads((folder / "card.json").read_text())
    assert card["family"] == "starter"
    assert set(card["measured_quality"]) == {"simple scenes", "hard scenes"}
    assert "BSDS" not in card["training_data"] + card["licence"]
    model = load(folder)
    assert (model.family, model.version, model.sha256) == (
        "starter",
        "starter-test",
        card["sha256"],
    )


def test_a_run_without_a_budget_is_refused(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["starter", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "steps or minutes" in result.output


def test_there_is_nothing_to_resume_at_first(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["starter", "--out", str(tmp_path), "--steps", "1", "--resume"])
    assert result.exit_code == 2
    assert "nothing to resume" in result.output
