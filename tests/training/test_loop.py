"""A short training: it learns, it stops when its budget is spent, it can go on."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sam_backend.errors import InvalidInputError
from sam_backend.sam.starter import IMAGE_SIZE, build_starter
from sam_backend.training.loop import CHECKPOINT_NAME, METRICS_NAME, train, training_step
from sam_backend.training.mixture import Mixture, Shares
from sam_backend.training.plan import Phase, TrainingPlan
from sam_backend.training.resolution import network_input, set_input_size
from sam_backend.training.state import TrainingState

TINY = (Phase(1.0, 64, 2, 3),)


def fresh(plan: TrainingPlan, seed: int = 0) -> tuple[TrainingState, Mixture]:
    torch.manual_seed(seed)
    state = TrainingState(build_starter(), plan)
    return state, Mixture(np.random.default_rng(seed), shares=Shares(1, 0, 0))


def test_a_batch_is_learned_by_heart() -> None:
    plan = TrainingPlan(steps=1000, phases=TINY, learning_rate=1e-3, warmup_steps=1)
    state, mixture = fresh(plan)
    set_input_size(state.sam, 64)
    state.sam.train()
    examples = mixture.batch(2, 64, 3)
    losses = []
    for _ in range(16):
        rng = np.random.default_rng(1)
        losses.append(training_step(state, examples, plan, 0, rng).loss)
    assert losses[-1] < 0.5 * losses[0]


def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    whole = TrainingPlan(steps=4, phases=TINY, warmup_steps=2, bfloat16=False)
    state, mixture = fresh(whole)
    expected = train(state, mixture, whole, tmp_path / "whole", itertools.count().__next__)

    state, mixture = fresh(whole)
    state.sam.train()

    class StoppedError(Exception):
        pass

    def clock() -> float:
        if state.step == 2:
            raise StoppedError
        return 1000.0 * state.step  # a checkpoint after every step

    with pytest.raises(StoppedError):
        train(state, mixture, whole, tmp_path / "part", clock, checkpoint_every_s=0.0)
    state, mixture = fresh(whole, seed=99)
    state.load(tmp_path / "part" / CHECKPOINT_NAME, mixture.rng)
    assert state.step == 1
    resumed = train(state, mixture, whole, tmp_path / "part", itertools.count().__next__)
    for a, b in zip(expected.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_time_ends_a_training_and_metrics_tell_of_it(tmp_path: Path) -> None:
    plan = TrainingPlan(minutes=0.05, phases=TINY)
    state, mixture = fresh(plan)
    sam = train(state, mixture, plan, tmp_path, itertools.count().__next__, metrics_every=1)
    assert not sam.training
    assert state.sam.image_encoder.img_size == IMAGE_SIZE
    lines = [json.loads(line) for line in (tmp_path / METRICS_NAME).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, state.step + 1))
    assert {"loss", "click_iou", "box_iou", "last_iou", "rate", "size"} <= set(lines[0])


def test_there_is_nothing_to_resume_in_an_empty_folder(tmp_path: Path) -> None:
    state, mixture = fresh(TrainingPlan(steps=1))
    with pytest.raises(InvalidInputError, match=r"checkpoint\.pt"):
        state.load(tmp_path / CHECKPOINT_NAME, mixture.rng)


def test_a_plan_needs_a_budget_and_phases_in_order() -> None:
    with pytest.raises(InvalidInputError, match="budget"):
        TrainingPlan()
    with pytest.raises(InvalidInputError, match="rising"):
        TrainingPlan(steps=1, phases=(Phase(1.0, 64, 1, 1), Phase(0.5, 64, 1, 1)))
    with pytest.raises(InvalidInputError, match=r"1\.0"):
        TrainingPlan(steps=1, phases=(Phase(0.5, 64, 1, 1),))


def test_the_rate_warms_up_and_cools_down() -> None:
    plan = TrainingPlan(steps=100, warmup_steps=10, learning_rate=1.0)
    rates = [plan.rate(step, plan.progress(step, 0.0)) for step in range(100)]
    assert int(np.argmax(rates)) == 9
    assert rates[0] == pytest.approx(0.1, rel=0.01)
    assert rates[-1] < 0.02


def test_the_sooner_spent_budget_counts() -> None:
    plan = TrainingPlan(steps=10, minutes=10)
    assert plan.progress(5, 60.0) == 0.5
    assert plan.progress(1, 480.0) == 0.8
    assert plan.progress(20, 0.0) == 1.0
    assert plan.phase(0.0).size < plan.phase(1.0).size


def test_padding_is_zero_after_normalisation() -> None:
    sam = build_starter()
    _, mixture = fresh(TrainingPlan(steps=1))
    example = mixture.batch(1, 64, 1)[0]
    narrow = type(example)(example.image, (32, 64), example.truth)
    pixels = network_input(sam, [narrow])
    assert pixels.shape == (1, 3, 64, 64)
    assert not pixels[:, :, 32:].any()
    torch.testing.assert_close(
        pixels[0, :, :32],
        sam.preprocess(torch.from_numpy(example.image).permute(2, 0, 1))[:, :32, :64],
    )


def test_a_size_off_the_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        set_input_size(build_starter(), 100)
