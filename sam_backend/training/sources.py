"""Where a training's examples come from: anything that can say what step k learns from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sam_backend.training.examples import Example
from sam_backend.training.plan import Phase

_SESSIONS, _EXAMPLES = 1, 2


@dataclass(frozen=True, slots=True, eq=False)
class EncodedExample:
    """An image that a fixed encoder has already seen, and the targets asked for on it.

    Attributes:
        features: The image's embedding, shape (C, h, w), float16 or float32.
        truth: Share of each low-resolution cell that the target covers, shape (P, L, L) float32.
    """

    features: npt.NDArray[np.floating]
    truth: npt.NDArray[np.float32]


class Source(Protocol):
    """An endless source of examples.

    What a step learns from depends on the step and the phase alone, never on what was asked for
    before: so a training that was killed goes on as if it had not been.
    """

    def batch(self, step: int, phase: Phase) -> Sequence[Example] | Sequence[EncodedExample]:
        """The examples of a step: `phase.n_images` of them with `phase.n_targets` targets each."""
        ...


def example_chance(seed: int, step: int, number: int = 0) -> np.random.Generator:
    """The source of all chance in what step `step` learns from.

    Args:
        seed: The training's.
        step: Steps done before.
        number: Tells the examples of a step apart, where each is made by itself.
    """
    return np.random.default_rng([seed, _EXAMPLES, step, number])


def session_chance(seed: int, step: int) -> np.random.Generator:
    """The source of all chance in the simulated clicks of a step."""
    return np.random.default_rng([seed, _SESSIONS, step])
