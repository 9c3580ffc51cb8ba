"""From what a model says of its masks to the probability that they need no correction.

Predicted IoU and stability are no probabilities. A logistic regression puts what is known of a mask
into one number, and an isotonic regression (Zadrozny and Elkan, KDD 2002) says which share of the
masks with such a number was good; it sees numbers of masks that the first one has not learned from,
image by image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from sam_backend.errors import InvalidInputError
from sam_backend.quality.judged_masks import JudgedMask, Traits

Floats = npt.NDArray[np.float64]

N_BINS = 10
N_FOLDS = 5
MIN_IMAGES, MIN_OF_A_KIND = 10, 20
"""Each fold needs images, and a regression some masks of either kind."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted map from traits to a probability; plain numbers, applied without scikit-learn.

    Attributes:
        means: Of each trait, in the order of `Traits`.
        scales: Standard deviations, likewise.
        weights: Of the standardised traits.
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


def fit(judged: Sequence[JudgedMask]) -> Calibration:
    """Learn from judged masks.

    Raises:
        InvalidInputError: They are too few, or all good or all bad.
    """
    _, images, is_good, _ = _columns(judged)
    n_images, n_good = len(np.unique(images)), int(is_good.sum())
    if n_images < MIN_IMAGES or min(n_good, len(judged) - n_good) < MIN_OF_A_KIND:
        raise InvalidInputError(
            f"{n_good} good and {len(judged) - n_good} bad masks on {n_images} images are too few "
            f"to calibrate: at least {MIN_OF_A_KIND} of each kind and {MIN_IMAGES} images"
        )
    return _fit(*_columns(judged))


def said_unseen(judged: Sequence[JudgedMask]) -> Floats:
    """What calibrations say of masks that they have not learned from, fold by fold, shape (N,)."""
    traits, images, is_good, weights = _columns(judged)
    said = np.zeros(len(judged))
    for learned, unseen in GroupKFold(N_FOLDS).split(traits, is_good, images):
        columns = (traits, images, is_good, weights)
        said[unseen] = _fit(*(column[learned] for column in columns)).of_many(traits[unseen])
    return said


def reliabilities(judged: Sequence[JudgedMask]) -> tuple[Reliability, Reliability]:
    """Of the predicted IoU as it is, and of calibrated probabilities of unseen masks."""
    traits, _, is_good, weights = _columns(judged)
    before = Reliability.of(traits[:, 0], is_good, weights)
    return before, Reliability.of(said_unseen(judged), is_good, weights)


def draw_reliability(before: Reliability, after: Reliability, png: Path) -> None:
    """Draw what was said against what came true, and how many masks each bin has."""
    figure = Figure(figsize=(6, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes, bars = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    axes.plot([0, 1], [0, 1], color="#999", linestyle=":", label="perfect")
    for one, name, colour in (
        (before, "predicted IoU", "#b71c1c"),
        (after, "calibrated", "#1565c0"),
    ):
        points = [(x, y) for x, y in zip(one.said, one.came_true, strict=True) if x is not None]
        label = f"{name}: expected calibration error {one.error:.3f}"
        axes.plot(*zip(*points, strict=True), marker="o", color=colour, label=label)
        places = (np.arange(N_BINS) + 0.5) / N_BINS
        bars.bar(places, one.masks, 1 / N_BINS, color=colour, alpha=0.4)
    axes.set_ylabel("share of masks that needed no correction")
    axes.legend(loc="upper left", frameon=False)
    bars.set_xlabel("what was said")
    bars.set_ylabel("masks")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    figure.savefig(png, dpi=120)


def _columns(
    judged: Sequence[JudgedMask],
) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.bool_], Floats]:
    """Traits, images, worth and weights."""
    _, images = np.unique([one.image for one in judged], return_inverse=True)
    return (
        traits_of(judged),
        images.astype(np.int64),
        np.array([one.is_good for one in judged], np.bool_),
        np.array([one.weight for one in judged], np.float64),
    )


def _fit(
    traits: Floats,
    images: npt.NDArray[np.int64],
    is_good: npt.NDArray[np.bool_],
    weights: Floats,
) -> Calibration:
    means, scales = traits.mean(axis=0), traits.std(axis=0)
    scales[scales == 0] = 1.0
    standard = (traits - means) / scales
    unseen = np.zeros(len(traits))
    for learned, rest in GroupKFold(N_FOLDS).split(standard, is_good, images):
        unseen[rest] = _sums(standard[rest], *_line(standard, is_good, weights, learned))
    line = _line(standard, is_good, weights, np.arange(len(traits)))
    steps = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    steps.fit(unseen, is_good, sample_weight=weights)
    return Calibration(
        means=tuple(means.tolist()),
        scales=tuple(scales.tolist()),
        weights=tuple(line[0].tolist()),
        bias=line[1],
        knots=tuple(steps.X_thresholds_.tolist()),
        probabilities=tuple(steps.y_thresholds_.tolist()),
    )


def _line(
    standard: Floats,
    is_good: npt.NDArray[np.bool_],
    weights: Floats,
    learned: npt.NDArray[np.int64],
) -> tuple[Floats, float]:
    """Weights and bias of a logistic regression; of one kind only, its constant."""
    if is_good[learned].all() or not is_good[learned].any():
        return np.zeros(standard.shape[1]), 10.0 if is_good[learned].any() else -10.0
    model = LogisticRegression().fit(standard[learned], is_good[learned], weights[learned])
    return model.coef_[0], float(model.intercept_[0])


def _sums(standard: Floats, weights: Floats, bias: float) -> Floats:
    return standard @ weights + bias
