"""How far a figure can be trusted: 95 % intervals over images.

Masks of one image share its difficulty, and images with many masks may be the better or the worse
ones. So the image is the unit: its standard error is the jackknife's, from the figures without each
image (Efron and Stein, Annals of Statistics 9, 1981), in each stratum for samples that were drawn
by strata. What the interval looks like then depends on the figure's `Scale`:

- shares, and means of values between 0 and 1: the exact interval of Clopper and Pearson for so many
  witnesses as have this standard error (Korn and Graubard, Survey Methodology 24, 1998). Where all
  or none is right, each image is one witness, so that twenty clean images do not prove 100 %.
- ratios without an upper limit, such as seconds a mask: Student's t of the logarithm.
- differences and logarithms: Student's t.

Degrees of freedom are those of the images' weight in the figure (Kish's effective number).

How often such intervals hold the truth is simulated in `tests/quality/test_intervals.py`, for each
kind of figure, from two images on, with numbers of masks that go with quality: 93 % and more. Where
a tenth of the images has most of all masks, it takes thirty images to come near to that;
differences that lie on one side only are covered in nine cases of ten. **Numbers of clicks (NoC)
are covered less often where masks rarely fail**: as long as no failure, which counts 20, is among
the images, nothing tells of it (0.67 to 0.95 of such intervals held the truth in simulations of 5
to 80 images; where failures are common, 0.89 to 0.96). The calibration error is a
sum of absolute values: with few masks it is measured too high, and the interval lies around that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
import numpy.typing as npt
from scipy import stats

from sam_backend.errors import InvalidInputError
from sam_backend.quality.figures import Figure, figures, total
from sam_backend.quality.interactive import InteractiveReport

CONFIDENCE = 0.95
MIN_IMAGES = 5
"""Of fewer, figures are told as "too few": intervals of so few images hold the truth as often as
others, but next to everything else too."""

_NO_ERROR = 1e-9
"""Images that are so much alike differ by the arithmetic's rounding."""

Floats = npt.NDArray[np.float64]


class Scale(Enum):
    """Which values a figure can have."""

    SHARE = auto()
    """0 to 1, on each image too."""
    POSITIVE = auto()
    """0 and more."""
    REAL = auto()
    """Any, such as a difference; most informative near 0."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and where it may lie with other images of the same kind.

    Attributes:
        value: As measured.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class _Spread:
    """A figure with what its interval is made of.

    Attributes:
        value: As measured.
        left_out: Without each image, shape (images,).
        strata: Place of each image's stratum, likewise.
        witnesses: Effective number of images, by how many of them were drawn for one.
        freedom: Effective number of images, by their weight in the figure.
    """

    value: float
    left_out: Floats
    strata: npt.NDArray[np.int64]
    witnesses: float
    freedom: float

    def interval(self, scale: Scale, confidence: float) -> Interval:
        """Return the figure with its interval."""
        if scale is Scale.SHARE:
            return self._share(confidence)
        if scale is Scale.POSITIVE and min(self.value, self.left_out.min()) > 0:
            half = self._t(confidence, 1) * _deviation(np.log(self.left_out), self.strata)
            factor = float(np.exp(half))
            return Interval(self.value, self.value / factor, self.value * factor)
        half = self._t(confidence, 0) * _deviation(self.left_out, self.strata)
        return Interval(self.value, self.value - half, self.value + half)

    def _share(self, confidence: float) -> Interval:
        value = min(max(self.value, 0.0), 1.0)
        if value in {0.0, 1.0}:
            witnesses = self.witnesses
        else:
            error = _deviation(self.left_out, self.strata)
            if error < _NO_ERROR:
                return Interval(value, value, value)
            ratio = float(stats.norm.ppf((1 + confidence) / 2)) / self._t(confidence, 1)
            witnesses = value * (1 - value) / error**2 * ratio**2
        right, wrong = value * witnesses, (1 - value) * witnesses
        tail = (1 - confidence) / 2
        return Interval(
            value,
            float(stats.beta.ppf(tail, right, wrong + 1)) if right > 0 else 0.0,
            float(stats.beta.ppf(1 - tail, right + 1, wrong)) if wrong > 0 else 1.0,
        )

    def _t(self, confidence: float, lost: int) -> float:
        """Student's quantile; a ratio away from 0 loses one more degree to its denominator."""
        n_strata = len(np.unique(self.strata))
        return float(stats.t.ppf((1 + confidence) / 2, max(self.freedom - n_strata - lost, 1.0)))


def ratio_interval(
    parts: Floats,
    wholes: Floats,
    scale: Scale,
    weights: Floats | None = None,
    strata: Sequence[str] | None = None,
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Return all images' parts over all images' wholes, with its interval.

    With weights it is the figure of all images, from a sample that was drawn with known
    probabilities: a ratio of weighted sums (Hajek).

    Args:
        parts: What is counted, by image, shape (N,); for a share between 0 and the whole.
        wholes: Of how much, likewise.
        scale: Of the figure.
        weights: Inverse of each image's probability to be drawn, likewise; None: all alike.
        strata: Each image was drawn from its own one; None: all from one.
        confidence: Of the interval.

    Returns:
        None where fewer than two images have something to be counted.
    """
    n = len(parts)
    weights = np.ones(n) if weights is None else weights
    above, below = weights * parts, weights * wholes
    if n < 2 or np.count_nonzero(below) < 2:
        return None
    places = _places(["all"] * n if strata is None else strata)
    value = float(above.sum() / below.sum())
    # the others of its stratum stand in for the image that is left out
    sizes = np.bincount(places)[places]
    rest_above, rest_below = (
        column.sum() + (np.bincount(places, column)[places] - sizes * column) / (sizes - 1)
        for column in (above, below)
    )
    left_out = np.full(n, value)
    np.divide(rest_above, rest_below, out=left_out, where=rest_below > 0)
    spread = _Spread(value, left_out, places, _effective(weights), _effective(below))
    return spread.interval(scale, confidence)


def interval(report: InteractiveReport, figure: Figure, confidence: float = CONFIDENCE) -> Interval:
    """A report's figure with its interval.

    Raises:
        InvalidInputError: The report is of a single image.
    """
    low, high = figure.limits(report.max_clicks)
    left_out, masks = _left_out(report, figure)
    found = _Spread(
        (report.value(figure) - low) / (high - low),
        (left_out - low) / (high - low),
        np.zeros(len(masks), np.int64),
        len(masks),
        _effective(masks),
    ).interval(Scale.SHARE, confidence)
    low_end, high_end = (low + (high - low) * end for end in (found.low, found.high))
    return Interval(report.value(figure), low_end, high_end)


def intervals(report: InteractiveReport) -> dict[str, Interval]:
    """All figures of a report with their intervals, by name; none if it is of a single image."""
    if report.n_images < 2:
        return {}
    return {one.name: interval(report, one) for one in figures(report.max_clicks)}


def difference(
    before: InteractiveReport,
    after: InteractiveReport,
    figure: Figure,
    confidence: float = CONFIDENCE,
) -> Interval:
    """By how much a figure has risen from one report to another of the same masks.

    Raises:
        InvalidInputError: The masks differ, or how often one could click, or there is one image.
    """
    if not are_comparable(before, after):
        raise InvalidInputError("the two reports are not of the same masks and clicks")
    (old, masks), (new, _) = _left_out(before, figure), _left_out(after, figure)
    change = after.value(figure) - before.value(figure)
    strata = np.zeros(len(masks), np.int64)
    spread = _Spread(change, new - old, strata, len(masks), _effective(masks))
    return spread.interval(Scale.REAL, confidence)


def are_comparable(a: InteractiveReport, b: InteractiveReport) -> bool:
    """Whether two reports are of the same masks in the same order, with equally many clicks."""
    masks_of_a, masks_of_b = ([(r.image, r.mask) for r in report.results] for report in (a, b))
    return masks_of_a == masks_of_b and a.max_clicks == b.max_clicks


def _left_out(report: InteractiveReport, figure: Figure) -> tuple[Floats, Floats]:
    """The figure without each image, and each image's number of masks, shape (images,)."""
    if report.n_images < 2:
        raise InvalidInputError("an interval needs at least two images, not one")
    names = [result.image for result in report.results]
    image_of_mask = np.unique(names, return_inverse=True)[1]
    contributions = figure.contributions(report.results, report.max_clicks)
    sums = np.zeros((report.n_images, contributions.shape[1]))
    np.add.at(sums, image_of_mask, contributions)
    masks = np.bincount(image_of_mask).astype(np.float64)
    return total(sums.sum(axis=0) - sums, masks.sum() - masks), masks


def _places(strata: Sequence[str]) -> npt.NDArray[np.int64]:
    """Place of each image's stratum; those of a single image are made one.

    If there is only one such, it joins the largest stratum: alone nobody can tell how it varies.
    """
    places = np.unique(np.asarray(strata), return_inverse=True)[1].astype(np.int64)
    sizes = np.bincount(places)
    is_single = sizes[places] == 1
    if is_single.sum() == 1 and len(sizes) > 1:
        places[is_single] = sizes.argmax()
    elif is_single.any():
        places[is_single] = places[is_single].min()
    joined: npt.NDArray[np.int64] = np.unique(places, return_inverse=True)[1].astype(np.int64)
    return joined


def _deviation(left_out: Floats, strata: npt.NDArray[np.int64]) -> float:
    """The jackknife's standard error, from the figures without each image."""
    sizes = np.bincount(strata).astype(np.float64)
    means = np.bincount(strata, left_out) / sizes
    squares = np.bincount(strata, (left_out - means[strata]) ** 2)
    return float(np.sqrt(((sizes - 1) / sizes * squares).sum()))


def _effective(weights: Floats) -> float:
    """Images that would tell as much if all had one weight (Kish, "Survey Sampling", 1965)."""
    return float(weights.sum() ** 2 / (weights**2).sum())
