"""What a training must remember to go on after a stop: weights, averages, optimiser, chance."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segment_anything.modeling import Sam

from sam_backend.errors import InvalidInputError
from sam_backend.training.plan import TrainingPlan


class TrainingState:
    """The moving parts of a training.

    Attributes:
        sam: The network that learns.
        averaged: Its exponential moving average, the one to export.
        optimizer: AdamW over the network's parameters.
        step: Steps done.
        elapsed_s: Time spent in them, over all starts.
    """

    def __init__(self, sam: Sam, plan: TrainingPlan) -> None:
        self.sam = sam
        self.averaged: Sam = copy.deepcopy(sam).eval().requires_grad_(False)
        matrices = [p for p in sam.parameters() if p.ndim >= 2]
        others = [p for p in sam.parameters() if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": plan.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=plan.learning_rate,
        )
        self.step = 0
        self.elapsed_s = 0.0

    @torch.no_grad()
    def average(self, decay: float) -> None:
        """Move the averaged weights towards the network's; faster in the first steps."""
        keep = min(decay, (1 + self.step) / (10 + self.step))
        for slow, fast in zip(self.averaged.parameters(), self.sam.parameters(), strict=True):
            slow.lerp_(fast, 1 - keep)

    def save(self, file: Path, rng: np.random.Generator) -> None:
        """Write everything to `file`; a half-written file never carries its name."""
        document = {
            "sam": self.sam.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "rng": json.dumps(rng.bit_generator.state),
        }
        partial = file.with_suffix(".partial")
        torch.save(document, partial)
        partial.replace(file)

    def load(self, file: Path, rng: np.random.Generator) -> None:
        """Go on where `save` left off.

        Raises:
            InvalidInputError: There is no such checkpoint.
        """
        if not file.is_file():
            raise InvalidInputError(f"{file} does not exist: nothing to resume")
        document: dict[str, Any] = torch.load(file, weights_only=True)
        self.sam.load_state_dict(document["sam"])
        self.averaged.load_state_dict(document["averaged"])
        self.optimizer.load_state_dict(document["optimizer"])
        self.step = document["step"]
        self.elapsed_s = document["elapsed_s"]
        rng.bit_generator.state = json.loads(document["rng"])
