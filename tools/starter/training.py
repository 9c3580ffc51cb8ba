"""The training: its plan, its state, and a loop that any kill leaves a step to go on from."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sam_backend.datasets.types import Dataset
from sam_backend.errors import InvalidInputError
from sam_backend.sam.reference import Sam
from sam_backend.training import metrics
from sam_backend.training.loop import BEST_NAME, CHECKPOINT_NAME
from sam_backend.training.plan import LossWeights, Phase, TrainingPlan
from sam_backend.training.resolution import set_input_size
from sam_backend.training.sources import Source
from sam_backend.training.state import TrainingState
from sam_backend.training.steps import training_step

TRUNK = "image_encoder.trunk."
TRUNK_RATE = 0.1
"""The trunk's rate beside that of what began at random: it has seen a million images already."""
COOLDOWN = 0.25
"""Share of the budget, at its end, in which the rate falls. Before it is constant, so that a
larger budget goes on from a checkpoint as if it had been meant from the start (the
warm-up, stable, decay schedule: arXiv 2404.06395)."""
FINAL_RATE = 0.03
HISTORY_NAME = "history.jsonl"
"""A line for each start of a run: its command, and what it learned from."""
LOSSES = LossWeights(predicted_iou=4.0, single_mask=0.5)
"""Which of three masks a lone click gets is decided by predicted IoU, so it is learned with more
weight than in the paper; and the single-mask output learns to take the object for such a click."""
PHASES = (Phase(0.75, 256, 10, 4), Phase(1.0, 512, 5, 4))


@dataclass(frozen=True, slots=True)
class StarterPlan(TrainingPlan):
    """A `TrainingPlan` with another course of the rate, and a trunk that learns later.

    Attributes:
        unfreeze: Share of the budget after which the trunk learns too; 1: never.
    """

    warmup_steps: int = 80
    ema_decay: float = 0.996
    losses: LossWeights = LOSSES
    unfreeze: float = 0.4

    def rate(self, step: int, progress: float) -> float:
        """The learning rate of a step: up, constant, down."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        left = min(1.0, (1 - progress) / COOLDOWN)
        return self.learning_rate * warm * (FINAL_RATE + (1 - FINAL_RATE) * left)


class StarterState(TrainingState):
    """A `TrainingState` whose optimiser moves the trunk more slowly."""

    def __init__(self, sam: Sam, plan: TrainingPlan) -> None:
        super().__init__(sam, plan)
        groups = []
        for is_trunk in (False, True):
            for is_matrix in (False, True):
                chosen = [
                    weight
                    for name, weight in sam.named_parameters()
                    if name.startswith(TRUNK) is is_trunk and (weight.ndim >= 2) is is_matrix
                ]
                decay = plan.weight_decay if is_matrix else 0.0
                factor = TRUNK_RATE if is_trunk else 1.0
                groups.append({"params": chosen, "weight_decay": decay, "factor": factor})
        self.optimizer = torch.optim.AdamW(groups, lr=plan.learning_rate)

    def save(self, file: Path) -> None:
        """Write everything, the trunk too while it is frozen: `TrainingState` leaves that out."""
        self.sam.requires_grad_(requires_grad=True)
        super().save(file)


Judge = Callable[[Sam], Mapping[str, float]]


def train(
    state: StarterState,
    source: Source,
    plan: StarterPlan,
    folder: Path,
    clock: Callable[[], float],
    stop: Callable[[], bool],
    judge: Judge | None = None,
    checkpoint_every_s: float = 120.0,
    metrics_every: int = 10,
) -> None:
    """Train until the budget is spent or `stop` says so; go on from the checkpoint in `folder`.

    The folder gets the checkpoint, `metrics.jsonl` (the learning curve) and the averaged weights of
    the best look (`best.pt`). What a step learns from depends on its number alone, so a run that is
    killed and started again does the steps since its last checkpoint once more, the same.

    Args:
        state: Fresh; the checkpoint is loaded into it, if there is one.
        source: Of examples.
        plan: Budget and rates; may be larger than that of the run before.
        folder: Of the run.
        clock: Seconds.
        stop: Asked before each step.
        judge: Figures of a network by name, all better if higher; asked every `plan.judge_every`
            steps and at the end. The best look is that of the highest mean.
        checkpoint_every_s: Time between checkpoints.
        metrics_every: Steps between lines of metrics.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, curve = folder / CHECKPOINT_NAME, folder / metrics.METRICS_NAME
    if checkpoint.exists():
        state.load(checkpoint)
    metrics.forget_after(curve, state.step)
    sam, own_size = state.sam.train(), 16 * state.sam.prompt_encoder.image_embedding_size[0]
    started, before = clock(), state.elapsed_s
    saved = started

    def look(network_judge: Judge) -> None:
        set_input_size(sam, own_size)
        with state.averaged_network() as averaged:
            figures = network_judge(averaged)
        state.held_out[state.step] = sum(figures.values()) / len(figures)
        if state.best_step == state.step:
            state.save_best(folder / BEST_NAME)
        metrics.append(curve, {"step": state.step, "elapsed_s": round(state.elapsed_s), **figures})
        state.save(checkpoint)

    while plan.progress(state.step, state.elapsed_s) < 1 and not stop():
        progress = plan.progress(state.step, state.elapsed_s)
        if judge and state.step % plan.judge_every == 0 and state.step not in state.held_out:
            look(judge)
        phase, rate = plan.phase(progress), plan.rate(state.step, progress)
        set_input_size(sam, phase.size or own_size)
        sam.image_encoder.trunk.requires_grad_(progress >= plan.unfreeze)
        for group in state.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        state.recent.append(training_step(state, source.batch(state.step, phase), plan))
        state.step += 1
        state.average(plan.ema_decay)
        state.elapsed_s = before + clock() - started
        if state.step % metrics_every == 0:
            line = {"step": state.step, "elapsed_s": round(state.elapsed_s), "rate": rate}
            metrics.append(curve, line | {"size": phase.size}, metrics.mean(state.recent))
            state.recent.clear()
        if clock() - saved >= checkpoint_every_s:
            state.save(checkpoint)
            saved = clock()
    if judge and state.step not in state.held_out and not stop():
        look(judge)
    set_input_size(sam, own_size)
    state.save(checkpoint)


def note_run(folder: Path, record: dict[str, object]) -> None:
    """Add a line to `history.jsonl`: each start of a run, and what its weights learned from."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / HISTORY_NAME).open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(record) + "\n")


def last_run(folder: Path, learned: Sequence[Dataset]) -> dict[str, Any]:
    """What the last start of a run noted (`note_run`).

    Args:
        folder: Of the run.
        learned: What it is said to have learned from.

    Raises:
        InvalidInputError: Nothing was noted, or a start learned from other data.
    """
    file = folder / HISTORY_NAME
    if not file.is_file():
        raise InvalidInputError(f"{folder} is no run: {HISTORY_NAME} is missing")
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    told = {dataset.name: dataset.digest for dataset in learned}
    for record in records:
        for name, one in record["photos"].items():
            if told.get(name) != one["digest"]:
                raise InvalidInputError(
                    f"the run learned from {name} ({one['digest'][:8]}…): name it with --photos, "
                    "as it was then"
                )
    last: dict[str, Any] = records[-1]
    return last
