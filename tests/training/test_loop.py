"""A short training of the starter: it learns, ends when its budget is spent, can go on."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything.modeling import Sam

from sam_backend.errors import InvalidInputError
from sam_backend.progress import Progress
from sam_backend.sam.segmenter import Segmenter
from sam_backend.sam.starter import IMAGE_SIZE, build_starter
from sam_backend.training.examples import Example, prepare
from sam_backend.training.loop import BEST_NAME, CHECKPOINT_NAME, Ending, Training
from sam_backend.training.metrics import METRICS_NAME
from sam_backend.training.plan import Phase, TrainingPlan
from sam_backend.training.resolution import set_input_size
from sam_backend.training.scenes import simple_scene
from sam_backend.training.sources import example_chance
from sam_backend.training.state import TrainingState
from sam_backend.training.steps import training_step

TINY = (Phase(1.0, 64, 2, 3),)


class Scenes:
    """Simple scenes without end."""

    def batch(self, step: int, phase: Phase) -> list[Example]:
        examples: list[Example] = []
        rng = example_chance(0, step)
        while len(examples) < phase.n_images:
            example = prepare(simple_scene(rng, phase.size), phase.size, phase.n_targets, rng)
            examples += [example] if example else []
        return examples


def fresh(plan: TrainingPlan, seed: int = 0) -> TrainingState:
    torch.manual_seed(seed)
    return TrainingState(build_starter(), plan)


def ticks() -> "itertools.count[int].__next__":
    return itertools.count().__next__


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / METRICS_NAME).read_text().splitlines()]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_batch_is_learned_by_heart(accumulate: int) -> None:
    plan = TrainingPlan(
        steps=1000,
        phases=TINY,
        learning_rate=1e-3,
        warmup_steps=1,
        max_corrections=0,
        accumulate=accumulate,
    )
    state = fresh(plan)
    set_input_size(state.sam, 64)
    state.sam.train()
    examples = Scenes().batch(0, TINY[0])
    losses = [training_step(state, examples, plan).loss for _ in range(16)]
    assert losses[-1] < 0.5 * losses[0]


def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    plan = TrainingPlan(steps=4, phases=TINY, warmup_steps=2)
    expected, part = fresh(plan), fresh(plan)
    assert Training(expected, Scenes(), plan, tmp_path / "whole", ticks()).run() is Ending.SPENT

    def stop() -> bool:
        return part.step == 2

    ending = Training(part, Scenes(), plan, tmp_path / "part", ticks(), stop=stop).run()
    assert ending is Ending.STOPPED
    resumed = fresh(plan, seed=99)
    resumed.load(tmp_path / "part" / CHECKPOINT_NAME)
    assert resumed.step == 2
    Training(resumed, Scenes(), plan, tmp_path / "part", ticks()).run()
    for a, b in ((expected.sam, resumed.sam), (expected, resumed)):
        one = a.averaged if isinstance(a, TrainingState) else a.state_dict()
        other = b.averaged if isinstance(b, TrainingState) else b.state_dict()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_time_ends_a_training_and_metrics_tell_of_it(tmp_path: Path) -> None:
    plan = TrainingPlan(minutes=0.05, phases=TINY)
    state = fresh(plan)
    Training(state, Scenes(), plan, tmp_path, ticks(), metrics_every=1).run()
    assert not state.sam.training
    assert state.sam.image_encoder.img_size == IMAGE_SIZE
    written = lines(tmp_path)
    assert [line["step"] for line in written] == list(range(1, state.step + 1))
    assert {"loss", "click_iou", "box_iou", "last_iou", "rate", "size"} <= set(written[0])


def test_an_observer_hears_of_every_step(tmp_path: Path) -> None:
    plan = TrainingPlan(steps=3, phases=TINY)
    heard: list[Progress] = []
    Training(fresh(plan), Scenes(), plan, tmp_path, ticks(), observe=heard.append).run()
    assert [(p.stage, p.done, p.of) for p in heard] == [("training", i, 3) for i in (1, 2, 3)]
    assert heard[0].eta_s == pytest.approx(2 * heard[0].elapsed_s)
    assert heard[-1].eta_s == 0
    assert all(p.loss and p.loss > 0 and 0 <= p.last_iou <= 1 for p in heard)


def test_the_best_averaged_weights_are_kept_and_a_falling_score_ends_the_run(
    tmp_path: Path,
) -> None:
    plan = TrainingPlan(steps=9, phases=TINY, judge_every=1, patience=2)
    state = fresh(plan)
    seen: list[dict[str, torch.Tensor]] = []

    def judge(sam: Sam) -> float:
        Segmenter(sam, "judged")  # which switches gradients off
        assert not sam.training
        assert sam.image_encoder.img_size == IMAGE_SIZE
        seen.append({name: weight.clone() for name, weight in sam.state_dict().items()})
        return [0.9, 0.2, 0.5, 0.4, 0.3, 0.8][len(seen) - 1]

    ending = Training(state, Scenes(), plan, tmp_path, ticks(), judge).run()
    assert ending is Ending.EARLY
    assert state.held_out == {0: 0.9, 1: 0.2, 2: 0.5, 3: 0.4, 4: 0.3}
    assert state.best_step == 2  # the start is no result of the training
    state.export(tmp_path / BEST_NAME)
    exported = state.sam.state_dict()
    assert all(torch.equal(exported[name], seen[2][name]) for name in exported)
    scores = [line["held_out"] for line in lines(tmp_path) if "held_out" in line]
    assert scores == [0.9, 0.2, 0.5, 0.4, 0.3]


def test_a_step_without_a_finite_gradient_changes_nothing() -> None:
    plan = TrainingPlan(steps=1, phases=TINY, bfloat16=False)
    state = fresh(plan)
    set_input_size(state.sam, 64)
    before = {name: weight.clone() for name, weight in state.sam.state_dict().items()}
    examples = Scenes().batch(0, TINY[0])
    broken = [Example(e.image, e.input_size, np.full_like(e.truth, np.inf)) for e in examples]
    assert not np.isfinite(training_step(state, broken, plan).grad_norm)
    after = state.sam.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_there_is_nothing_to_resume_in_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"checkpoint\.pt"):
        fresh(TrainingPlan(steps=1)).load(tmp_path / CHECKPOINT_NAME)


def test_a_checkpoint_of_other_learning_weights_is_refused(tmp_path: Path) -> None:
    plan = TrainingPlan(steps=1)
    fresh(plan).save(tmp_path / CHECKPOINT_NAME)
    partly = build_starter()
    partly.image_encoder.requires_grad_(requires_grad=False)
    with pytest.raises(InvalidInputError, match="other weights"):
        TrainingState(partly, plan).load(tmp_path / CHECKPOINT_NAME)
