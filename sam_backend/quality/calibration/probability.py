"""From what a model says of its masks to the probability that they need no correction.

Predicted IoU and stability are no probabilities. How the map is learned: `fitting`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sam_backend.quality.calibration.judged_masks import JudgedMask, Traits

Floats = npt.NDArray[np.float64]

N_BINS = 10


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted map from traits to a probability; plain numbers, applied without scikit-learn.

    Attributes:
        means: Means of each trait, in the order of `Traits`.
        scales: Standard deviations, likewise.
        weights: Weights of the standardised traits.
        bias: Added to their sum.
        knots: Sums, rising.
        probabilities: At the knots, never falling; between them one goes in a straight line.
    """

    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    knots: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __call__(self, traits: Traits) -> float:
        """How likely a mask needs no correction, 0 to 1."""
        return float(self.of_many(np.array([astuple(traits)], np.float64))[0])

    def of_many(self, traits: Floats) -> Floats:
        """Likewise of traits with shape (N, 5), shape (N,)."""
        sums = (traits - self.means) / self.scales @ np.array(self.weights) + self.bias
        found: Floats = np.interp(sums, self.knots, self.probabilities)
        return found

    def as_json(self) -> dict[str, Any]:
        """All numbers."""
        return asdict(self)

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """What `as_json` gave."""
        return cls(**as_tuples(told))


@dataclass(frozen=True, slots=True)
class Reliability:
    """What was said and what came true, in ten bins of what was said.

    Attributes:
        error: Expected calibration error (Naeini et al., AAAI 2015): Σ share of the bin · |said -
            came true|.
        said: Mean probability of each bin; None without masks.
        came_true: Share of good masks, likewise.
        masks: In each bin.
    """

    error: float
    said: tuple[float | None, ...]
    came_true: tuple[float | None, ...]
    masks: tuple[int, ...]

    @classmethod
    def of(cls, said: Floats, is_good: npt.NDArray[np.bool_], weights: Floats) -> Self:
        """Of masks in columns of shape (N,)."""
        probabilities = np.clip(said, 0.0, 1.0)
        bins = np.minimum((probabilities * N_BINS).astype(np.int64), N_BINS - 1)
        mass, told, good = (
            np.bincount(bins, weights * column, N_BINS).astype(np.float64)
            for column in (np.ones(len(said)), probabilities, is_good)
        )
        masks = np.bincount(bins, minlength=N_BINS)

        def mean(sums: Floats, place: int) -> float | None:
            return float(sums[place] / mass[place]) if mass[place] else None

        return cls(
            error=float(np.abs(told - good).sum() / mass.sum()),
            said=tuple(mean(told, place) for place in range(N_BINS)),
            came_true=tuple(mean(good, place) for place in range(N_BINS)),
            masks=tuple(int(n) for n in masks),
        )


def as_tuples(told: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples that they were."""
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in told.items()
    }


def traits_of(judged: Sequence[JudgedMask]) -> Floats:
    """Traits in columns, shape (N, 5)."""
    return np.array([astuple(one.traits) for one in judged], np.float64)
