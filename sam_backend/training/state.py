"""What a training must remember to go on after a stop: weights, averages, optimiser, scores."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from sam_backend.errors import InvalidInputError
from sam_backend.files import replacing
from sam_backend.sam.checkpoints import load_pickle
from sam_backend.sam.reference import Sam
from sam_backend.training.metrics import StepMetrics
from sam_backend.training.plan import TrainingPlan


class TrainingState:
    """The moving parts of a training.

    Only weights that learn are averaged and saved: a checkpoint of a large network whose decoder
    learns stays small.

    Attributes:
        sam: The network that learns.
        averaged: The exponential moving average of its learning weights by name: what to export.
        optimizer: AdamW over the learning weights.
        step: Steps done.
        elapsed_s: Time spent in them, over all starts.
        recent: Steps since the last line of metrics.
        held_out: Held-out score of the averaged weights by step; step 0 is the start.
    """

    def __init__(self, sam: Sam, plan: TrainingPlan) -> None:
        """Takes a network whose learning weights are those that want gradients."""
        self.sam = sam
        self._learning = {name: p for name, p in sam.named_parameters() if p.requires_grad}
        self.averaged = {name: p.detach().clone() for name, p in self._learning.items()}
        weights = self._learning.values()
        self.optimizer = torch.optim.AdamW(
            [
                {
                    "params": [p for p in weights if p.ndim >= 2],
                    "weight_decay": plan.weight_decay,
                },
                {"params": [p for p in weights if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=plan.learning_rate,
        )
        self.step = 0
        self.elapsed_s = 0.0
        self.recent: list[StepMetrics] = []
        self.held_out: dict[int, float] = {}

    @property
    def best_step(self) -> int | None:
        """The step after the start with the best held-out score; None before the first one."""
        scores = {step: score for step, score in self.held_out.items() if step > 0}
        return max(scores, key=lambda step: scores[step]) if scores else None

    @torch.no_grad()
    def average(self, decay: float) -> None:
        """Move the averaged weights towards the network's; faster in the first steps."""
        keep = min(decay, (1 + self.step) / (10 + self.step))
        for name, slow in self.averaged.items():
            slow.lerp_(self._learning[name], 1 - keep)

    @contextmanager
    def averaged_network(self) -> Iterator[Sam]:
        """The network with its averaged weights, in eval mode, to look at but not to keep."""
        was_training = self.sam.training
        self._exchange()
        try:
            yield self.sam.eval()
        finally:
            for weight in self._learning.values():  # who looks may have switched gradients off
                weight.requires_grad_(requires_grad=True)
            self.sam.train(was_training)
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        """Swap the network's learning weights with the averaged ones."""
        for name, weight in self._learning.items():
            mine = weight.detach().clone()
            weight.copy_(self.averaged[name])
            self.averaged[name].copy_(mine)

    @torch.no_grad()
    def export(self, best: Path | None = None) -> None:
        """Give the network its averaged weights for good, or those that `save_best` wrote."""
        state = self.averaged if best is None else _read(best, self.sam)
        for name, weight in self._learning.items():
            weight.copy_(state[name])

    def save_best(self, file: Path) -> None:
        """Write the averaged weights alone."""
        _write(self.averaged, file)

    def save(self, file: Path) -> None:
        """Write everything; a half-written file never carries its name."""
        learned = self._without_fixed()
        document = {
            "sam": learned,
            "averaged": learned | self.averaged,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "recent": [asdict(metrics) for metrics in self.recent],
            "held_out": self.held_out,
        }
        _write(document, file)

    def load(self, file: Path) -> None:
        """Go on where `save` left off.

        Raises:
            InvalidInputError: There is no such checkpoint, or it is of another network.
        """
        if not file.is_file():
            raise InvalidInputError(f"{file} does not exist: nothing to resume")
        document = _read(file, self.sam)
        if set(document["sam"]) != set(self._without_fixed()):
            raise InvalidInputError(f"{file} holds other weights than those that learn here")
        self.sam.load_state_dict(document["sam"], strict=False)
        for name, weight in self.averaged.items():
            weight.copy_(document["averaged"][name])
        self.optimizer.load_state_dict(document["optimizer"])
        self.step = document["step"]
        self.elapsed_s = document["elapsed_s"]
        self.recent = [StepMetrics(**metrics) for metrics in document["recent"]]
        self.held_out = dict(document["held_out"])

    def _without_fixed(self) -> dict[str, torch.Tensor]:
        """The network's state but for its fixed weights: what learns, and its constants."""
        fixed = {name for name, p in self.sam.named_parameters() if not p.requires_grad}
        return {name: w for name, w in self.sam.state_dict().items() if name not in fixed}


def _write(document: dict[str, Any], file: Path) -> None:
    with replacing(file) as unfinished, unfinished.open("wb") as out:
        torch.save(document, out)


def _read(file: Path, sam: Sam) -> dict[str, Any]:
    document: dict[str, Any] = load_pickle(file, sam.device)
    return document
