"""How far a figure can be trusted: bootstrap intervals over images.

Masks of one image share its difficulty, so whole images are drawn again, with all their masks (a
cluster bootstrap: Davison and Hinkley, "Bootstrap Methods and their Application", 1997). For a
difference the same images are drawn for both reports. Percentile intervals are too narrow for few
images (with five, they refuse a third of the challengers that are equal to their champion), so they
are widened as Student's t widens the normal interval: Hesterberg's "expanded percentile interval"
(arXiv 1411.5279).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from sam_backend.errors import InvalidInputError
from sam_backend.quality.figures import Figure, figures, total
from sam_backend.quality.interactive import InteractiveReport

N_RESAMPLES = 4000
CONFIDENCE = 0.95


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


def interval(
    report: InteractiveReport, figure: Figure, seed: int = 0, confidence: float = CONFIDENCE
) -> Interval:
    """A report's figure with its interval.

    Raises:
        InvalidInputError: The report is of a single image.
    """
    draws = _draws(report, seed)
    resampled = _resampled(report, figure, draws)
    return _interval(report.value(figure), resampled, report.n_images, confidence)


def intervals(report: InteractiveReport, seed: int = 0) -> dict[str, Interval]:
    """All figures of a report with their intervals, by name; none if it is of a single image."""
    if report.n_images < 2:
        return {}
    return {one.name: interval(report, one, seed) for one in figures(report.max_clicks)}


def difference(
    before: InteractiveReport,
    after: InteractiveReport,
    figure: Figure,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Interval:
    """By how much a figure has risen from one report to another of the same masks.

    Raises:
        InvalidInputError: The masks differ, or how often one could click, or there is one image.
    """
    if not are_comparable(before, after):
        raise InvalidInputError("the two reports are not of the same masks and clicks")
    draws = _draws(before, seed)
    resampled = _resampled(after, figure, draws) - _resampled(before, figure, draws)
    change = after.value(figure) - before.value(figure)
    return _interval(change, resampled, before.n_images, confidence)


def weighted_ratio_interval(
    parts: npt.NDArray[np.float64],
    wholes: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    strata: Sequence[str],
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """A share of all images from a sample that was drawn with known probabilities.

    The estimate is the ratio of weighted sums (Hajek); images are drawn again within their
    stratum.

    Args:
        parts: What is counted, by image, shape (N,).
        wholes: Of how much, likewise.
        weights: Inverse of each image's probability to be drawn, likewise.
        strata: Of each image.
        seed: Of the bootstrap.
        confidence: Of the interval.

    Returns:
        None where nothing is there to be counted, or there is one image only.
    """
    n = len(parts)
    if n < 2 or not (weights * wholes).sum() > 0:
        return None
    draws = np.zeros((N_RESAMPLES, n))
    rng = np.random.default_rng(seed)
    names = np.asarray(strata)
    for name in np.unique(names):
        inside = np.flatnonzero(names == name)
        k = len(inside)
        draws[:, inside] = rng.multinomial(k, np.full(k, 1 / k), N_RESAMPLES)
    above, below = draws @ (weights * parts), draws @ (weights * wholes)
    value = float((weights * parts).sum() / (weights * wholes).sum())
    resampled = np.divide(above, below, out=np.full_like(above, value), where=below > 0)
    return _interval(value, resampled, n, confidence)


def are_comparable(a: InteractiveReport, b: InteractiveReport) -> bool:
    """Whether two reports are of the same masks in the same order, with equally many clicks."""
    masks_of_a, masks_of_b = ([(r.image, r.mask) for r in report.results] for report in (a, b))
    return masks_of_a == masks_of_b and a.max_clicks == b.max_clicks


def _draws(report: InteractiveReport, seed: int) -> npt.NDArray[np.float64]:
    """How often each image is in each resample, shape (N_RESAMPLES, images)."""
    n = report.n_images
    if n < 2:
        raise InvalidInputError("an interval needs at least two images, not one")
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), N_RESAMPLES)
    return drawn.astype(np.float64)


def _resampled(
    report: InteractiveReport, figure: Figure, draws: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The figure in each resample, shape (N_RESAMPLES,)."""
    names = [result.image for result in report.results]
    image_of_mask = np.unique(names, return_inverse=True)[1]
    contributions = figure.contributions(report.results, report.max_clicks)
    sums = np.zeros((draws.shape[1], contributions.shape[1]))
    np.add.at(sums, image_of_mask, contributions)
    return total(draws @ sums, draws @ np.bincount(image_of_mask))


def _interval(
    value: float, resampled: npt.NDArray[np.float64], n_images: int, confidence: float
) -> Interval:
    t = stats.t.ppf((1 - confidence) / 2, n_images - 1)
    tail = float(stats.norm.cdf(np.sqrt(n_images / (n_images - 1)) * t))
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Interval(value, float(low), float(high))
