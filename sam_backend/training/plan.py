"""How long and how a training runs; a plan is data, so that a card or a test can hold one."""

import math
from dataclasses import dataclass

from sam_backend.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the training with one input size.

    Attributes:
        until: Share of the budget at which the phase ends, 0..1.
        size: Side of the network's input in pixels.
        n_images: Images a step.
        n_targets: Masks asked for on each image.
    """

    until: float
    size: int
    n_images: int
    n_targets: int


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Budget, phases and optimiser of one training.

    Attributes:
        steps: Optimiser steps in all; None if only the time counts.
        minutes: Time in all; None if only the steps count. The first budget spent ends the run.
        phases: Input sizes in order; the last one must end at 1.
        max_corrections: Correction clicks after the first prompt, drawn from 0 to this.
        learning_rate: Peak of AdamW's rate; a linear warm-up leads to it, a cosine away from it.
        warmup_steps: Length of the warm-up.
        weight_decay: AdamW's, on matrices only.
        max_grad_norm: Gradients are scaled down to this norm.
        ema_decay: Of the averaged weights that are exported.
        bfloat16: Run encoder and decoder under autocast.
    """

    steps: int | None = None
    minutes: float | None = None
    phases: tuple[Phase, ...] = (
        Phase(0.3, 128, 16, 6),
        Phase(0.75, 256, 8, 6),
        Phase(1.0, 512, 4, 6),
    )
    max_corrections: int = 1
    learning_rate: float = 8e-4
    warmup_steps: int = 150
    weight_decay: float = 0.05
    max_grad_norm: float = 1.0
    ema_decay: float = 0.998
    bfloat16: bool = True

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise InvalidInputError("a training plan needs a budget: steps or minutes")
        ends = [phase.until for phase in self.phases]
        if not ends or ends != sorted(ends) or ends[-1] != 1.0:
            raise InvalidInputError(f"phases must end in rising order and at 1.0, not at {ends}")

    def progress(self, step: int, elapsed_s: float) -> float:
        """Share of the budget that is spent, 0..1."""
        by_steps = step / self.steps if self.steps else 0.0
        by_time = elapsed_s / (self.minutes * 60) if self.minutes else 0.0
        return min(1.0, max(by_steps, by_time))

    def phase(self, progress: float) -> Phase:
        """The phase that a share of the budget falls into."""
        return next((p for p in self.phases if progress < p.until), self.phases[-1])

    def rate(self, step: int, progress: float) -> float:
        """The learning rate of a step."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        return self.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
