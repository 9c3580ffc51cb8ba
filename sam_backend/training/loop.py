"""The training loop: encode each image once, annotate its targets, step, average, remember."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from segment_anything.modeling import Sam

from sam_backend.training.examples import Example
from sam_backend.training.mixture import Mixture
from sam_backend.training.plan import TrainingPlan
from sam_backend.training.resolution import network_input, set_input_size
from sam_backend.training.sessions import run_sessions
from sam_backend.training.state import TrainingState

CHECKPOINT_NAME = "checkpoint.pt"
METRICS_NAME = "metrics.jsonl"


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """What one step, or the mean of several, reached on its own training examples."""

    loss: float
    click_iou: float
    box_iou: float
    last_iou: float
    grad_norm: float


def training_step(
    state: TrainingState,
    examples: list[Example],
    plan: TrainingPlan,
    n_corrections: int,
    rng: np.random.Generator,
) -> StepMetrics:
    """One optimiser step on a batch; each image is encoded once for all its targets."""
    sam = state.sam
    with torch.autocast("cpu", torch.bfloat16, enabled=plan.bfloat16):
        embeddings = sam.image_encoder(network_input(sam, examples)).float()
    truth = np.concatenate([example.truth for example in examples])
    result = run_sessions(sam, embeddings, truth, n_corrections, rng, plan.bfloat16)
    torch.autograd.backward(result.loss)
    norm = torch.nn.utils.clip_grad_norm_(sam.parameters(), plan.max_grad_norm)
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    return StepMetrics(
        result.loss.item(), result.click_iou, result.box_iou, result.last_iou, float(norm)
    )


def train(
    state: TrainingState,
    mixture: Mixture,
    plan: TrainingPlan,
    folder: Path,
    clock: Callable[[], float],
    checkpoint_every_s: float = 120.0,
    metrics_every: int = 20,
) -> Sam:
    """Train until the plan's budget is spent and return the averaged network.

    Args:
        state: Fresh or loaded from a checkpoint.
        mixture: Where examples come from; its rng also draws the prompts.
        plan: Budget, phases and optimiser.
        folder: Gets the checkpoint and the metrics, one JSON object a line.
        clock: Seconds, such as `time.monotonic`.
        checkpoint_every_s: Time between two checkpoints.
        metrics_every: Steps between two lines of metrics.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = mixture.rng
    full_size = state.sam.image_encoder.img_size
    state.sam.train()
    recent: list[StepMetrics] = []
    started, before = clock(), state.elapsed_s
    saved = started
    while (progress := plan.progress(state.step, state.elapsed_s)) < 1.0:
        phase = plan.phase(progress)
        set_input_size(state.sam, phase.size)
        rate = plan.rate(state.step, progress)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        examples = mixture.batch(phase.n_images, phase.size, phase.n_targets)
        n_corrections = int(rng.integers(plan.max_corrections + 1))
        recent.append(training_step(state, examples, plan, n_corrections, rng))
        state.step += 1
        state.average(plan.ema_decay)
        state.elapsed_s = before + clock() - started
        if state.step % metrics_every == 0:
            _log(folder / METRICS_NAME, state, phase.size, rate, recent)
            recent.clear()
        if clock() - saved >= checkpoint_every_s:
            state.save(folder / CHECKPOINT_NAME, rng)
            saved = clock()
    set_input_size(state.sam, full_size)
    state.sam.eval()
    state.save(folder / CHECKPOINT_NAME, rng)
    return state.averaged


def _log(
    file: Path, state: TrainingState, size: int, rate: float, recent: list[StepMetrics]
) -> None:
    """Append the mean of the recent steps to the metrics file."""
    mean = {
        name: round(float(np.mean([asdict(step)[name] for step in recent])), 4)
        for name in asdict(recent[0])
    }
    line = {"step": state.step, "elapsed_s": round(state.elapsed_s), "size": size, "rate": rate}
    with file.open("a") as metrics:
        metrics.write(json.dumps(line | mean) + "\n")
