"""How long and how a training runs; a plan is data, so that a card or a test can hold one."""

import math
from dataclasses import dataclass
from enum import StrEnum

from sam_backend.errors import InvalidInputError

MIN_TARGETS = 2
"""Targets on an image: one session starts with a click and one with a box at least."""


class Depth(StrEnum):
    """How much of a network learns."""

    DECODER = "decoder"
    """Prompt encoder and mask decoder; images are embedded once."""
    ADAPTER = "adapter"
    """The decoder, and low-rank changes of the image encoder."""
    FULL = "full"
    """Everything."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the training with one input size.

    Attributes:
        until: Share of the budget at which the phase ends, 0..1.
        size: Side of the network's input in pixels; None: the network's own.
        n_images: Images a step.
        n_targets: Masks asked for on each image.

    Raises:
        InvalidInputError: There are fewer than `MIN_TARGETS` targets, or no images.
    """

    until: float
    size: int | None
    n_images: int
    n_targets: int

    def __post_init__(self) -> None:
        if self.n_images < 1 or self.n_targets < MIN_TARGETS:
            raise InvalidInputError(
                f"a phase needs an image and {MIN_TARGETS} targets on it at least,"
                f" not {self.n_images} and {self.n_targets}"
            )


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How much losses count beside that of the masks; the defaults are the paper's.

    Attributes:
        predicted_iou: That of predicted IoUs.
        single_mask: That of the single-mask output for a lone click, which in the paper is left
            to the three outputs for part, object and whole.
    """

    predicted_iou: float = 1.0
    single_mask: float = 0.0


PAPER_WEIGHTS = LossWeights()


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Budget, phases and optimiser of one training.

    The defaults are those of the starter, which learns from scratch; `retraining_plan` has those
    of a checkpoint that learns some more.

    Attributes:
        steps: Optimiser steps in all; None if only the time counts.
        minutes: Time in all; None if only the steps count. The first budget spent ends the run;
            only a run by steps alone is reproducible.
        phases: Input sizes in order; the last one must end at 1.
        depth: What learns.
        max_corrections: Correction clicks after the first prompt, drawn from 0 to this.
        mask_only_passes: Whether each session has two passes more without a new click, one at a
            random place and one at the end (paper, appendix A).
        losses: Their weights.
        learning_rate: Peak of AdamW's rate; a linear warm-up leads to it, a cosine away from it.
        warmup_steps: Length of the warm-up.
        weight_decay: AdamW's, on matrices only.
        max_grad_norm: Gradients are scaled down to this norm.
        ema_decay: EMA decay of the averaged weights that are exported.
        bfloat16: Run encoder and decoder under autocast.
        accumulate: A step's images go through the network in so many parts, for less memory.
        seed: Seed of all chance; what step k draws depends on it and on k alone.
        judge_every: Steps between two looks at the held-out score, if there is a judge.
        patience: The run ends after so many looks without a new best; None: never.
        flips: Let the decoder also see each image mirrored.
        rank: Rank of the adapter's low-rank changes.

    Raises:
        InvalidInputError: There is no budget, the phases do not end at 1 or a count is below one.
    """

    steps: int | None = None
    minutes: float | None = None
    phases: tuple[Phase, ...] = (
        Phase(0.3, 128, 16, 6),
        Phase(0.75, 256, 8, 6),
        Phase(1.0, 512, 4, 6),
    )
    depth: Depth = Depth.FULL
    max_corrections: int = 1
    mask_only_passes: bool = False
    losses: LossWeights = PAPER_WEIGHTS
    learning_rate: float = 8e-4
    warmup_steps: int = 150
    weight_decay: float = 0.05
    max_grad_norm: float = 1.0
    ema_decay: float = 0.998
    bfloat16: bool = True
    accumulate: int = 1
    seed: int = 0
    judge_every: int = 50
    patience: int | None = None
    flips: bool = True
    rank: int = 4

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise InvalidInputError("a training plan needs a budget: steps or minutes")
        ends = [phase.until for phase in self.phases]
        if not ends or ends != sorted(ends) or ends[-1] != 1.0:
            raise InvalidInputError(f"phases must end in rising order and at 1.0, not at {ends}")
        for name in ("accumulate", "judge_every", "rank", "warmup_steps"):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"{name} must be at least 1, not {getattr(self, name)}")

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


_RETRAINING_RATES = {Depth.DECODER: 1e-4, Depth.ADAPTER: 1e-4, Depth.FULL: 2e-5}


def retraining_plan(depth: Depth = Depth.DECODER, steps: int = 300, seed: int = 0) -> TrainingPlan:
    """The plan for a checkpoint that learns from some hundreds of human masks.

    The paper pre-trains at 8e-4 with batches of 256 images; a checkpoint that already knows what
    masks are is moved an eighth as fast by default, and an encoder as a whole 40 times less, since
    few images would make it forget what eleven million taught it. 300 steps of 4 images are about
    four epochs of 300 images. Tried with starter-1 on 24 images of an odd style, 60 decoder steps:
    1e-4 raised the 1-click IoU on held-out images from 0.32 to 0.63 at every look and the box IoU
    from 0.71 to 0.73; 4e-4 came as far by step 10, then wavered, and lost box IoU (0.70).

    Args:
        depth: What learns.
        steps: Optimiser steps.
        seed: Seed of all chance.
    """
    return TrainingPlan(
        steps=steps,
        phases=(Phase(1.0, None, 4, 4),),
        depth=depth,
        max_corrections=4,
        mask_only_passes=True,
        learning_rate=_RETRAINING_RATES[depth],
        warmup_steps=max(1, min(50, steps // 10)),
        accumulate=1 if depth is Depth.DECODER else 4,
        seed=seed,
        judge_every=max(1, steps // 6),
        patience=3,
    )
