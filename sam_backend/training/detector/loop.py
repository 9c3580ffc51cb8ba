"""Trains a detector; a run that was killed goes on from its last checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sam_backend.datasets.types import Dataset
from sam_backend.errors import InvalidInputError
from sam_backend.files import replacing
from sam_backend.sam.checkpoints import load_pickle
from sam_backend.training.detector.examples import batches, read_example
from sam_backend.training.detector.network import build
from sam_backend.training.detector.plan import DetectorPlan

if TYPE_CHECKING:
    from torchvision.models.detection import FasterRCNN

CHECKPOINT_NAME = "detector.pt"
SAVE_EVERY = 100
_MAX_GRADIENT = 10.0


@dataclass(frozen=True, slots=True)
class DetectorProgress:
    """How far a training is.

    Attributes:
        step: Steps done.
        of: Steps in all.
        loss: Summed losses of the last step.
    """

    step: int
    of: int
    loss: float


def train_detector(
    dataset: Dataset,
    plan: DetectorPlan,
    folder: Path,
    device: torch.device,
    observe: Callable[[DetectorProgress], None] = lambda progress: None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> FasterRCNN | None:
    """Learn where objects are; returns the network, or None where it was stopped before the end.

    Args:
        dataset: Its masks' boxes are learned from, whatever their labels.
        plan: How.
        folder: Keeps the checkpoint; one of another data set or plan is begun anew.
        device: Where it runs.
        observe: Told after each step.
        is_stopped: True keeps what there is and ends.

    Raises:
        InvalidInputError: There is no image.
        ImageDecodeError: An image's file is gone or damaged.
    """
    if not len(dataset):
        raise InvalidInputError("a detector learns from images with masks, and there is none")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        network = build(plan.network, plan.side_px).to(device).train()
    optimiser = torch.optim.SGD(
        network.parameters(), plan.learning_rate, momentum=0.9, weight_decay=1e-4
    )
    identity = {"data": dataset.digest, "plan": plan.as_json()}
    file = folder / CHECKPOINT_NAME
    first = _resume(file, identity, network, optimiser, device)
    order = batches(len(dataset), plan.batch, range(first, plan.steps), plan.seed)
    for step, (indexes, mirrored) in enumerate(order, start=first):
        pairs = [
            read_example(dataset.images[index], plan.side_px).tensors(flip)
            for index, flip in zip(indexes, mirrored, strict=True)
        ]
        loss = _step(network, optimiser, pairs, plan, step, device)
        observe(DetectorProgress(step + 1, plan.steps, loss))
        stopped = is_stopped()
        if stopped or (step + 1) % SAVE_EVERY == 0:
            _save(file, identity, network, optimiser, step + 1)
        if stopped and step + 1 < plan.steps:
            return None
    return network.eval()


def _step(
    network: FasterRCNN,
    optimiser: torch.optim.Optimizer,
    pairs: list[tuple[torch.Tensor, dict[str, torch.Tensor]]],
    plan: DetectorPlan,
    step: int,
    device: torch.device,
) -> float:
    for group in optimiser.param_groups:
        group["lr"] = plan.learning_rate * _pace(step, plan.steps)
    images = [image.to(device) for image, _ in pairs]
    targets = [{name: value.to(device) for name, value in one.items()} for _, one in pairs]
    losses = network(images, targets)
    loss: torch.Tensor = sum(losses.values(), start=torch.zeros((), device=device))
    optimiser.zero_grad()
    if torch.isfinite(loss):
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), _MAX_GRADIENT)
        optimiser.step()
    return float(loss.detach())


def _pace(step: int, steps: int) -> float:
    """The learning rate's share of its highest."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _save(
    file: Path,
    identity: dict[str, Any],
    network: FasterRCNN,
    optimiser: torch.optim.Optimizer,
    step: int,
) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    state = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
    with replacing(file) as unfinished, unfinished.open("wb") as out:
        torch.save({"identity": identity, "step": step, **state}, out)


def _resume(
    file: Path,
    identity: dict[str, Any],
    network: FasterRCNN,
    optimiser: torch.optim.Optimizer,
    device: torch.device,
) -> int:
    if not file.is_file():
        return 0
    state = load_pickle(file, device)
    if state["identity"] != identity:
        return 0
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])
