"""The scores from which masks may be trusted, or thrown away: the widest that can be proven.

Learn then test (Angelopoulos et al., arXiv 2110.01052): each candidate threshold is a hypothesis
"the risk is too high", and only those that are rejected may be used. Candidates are tried from the
strictest on, and the first that is not rejected ends the trial (fixed sequence testing), so that no
correction is paid for those behind it; as the strictest may have too few masks to prove anything,
the trial is begun at several candidates, each with its part of the error (Bonferroni).

**What is promised.** The risk is a mean over images, whatever the number of masks on each: of the
masks that are accepted on an image the share that is wrong, over images on which some are accepted;
of an image's good masks the share that is discarded, over images that have some. An image's loss
lies between 0 and 1 and images are independent, so that the mean can be tested by betting
(Waudby-Smith and Ramdas, arXiv 2010.09686, section 4): this holds for any distribution and any
number of images. The share of wrong ones among all masks together is another figure. It is higher
where images with many masks are the worse ones, and cannot be bounded as soon as one image may hold
any number of them.

Masks that were shown with different probabilities are first thinned to the lowest one, so that the
rest of an image stands for the whole of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sam_backend.errors import InvalidInputError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

N_CANDIDATES = 40
ACCEPT_STARTS = (0.125, 0.375, 0.625)
"""Places among the candidates, the strictest being 0, which has too few masks to prove anything."""
DISCARD_STARTS = (0.0,)
"""The strictest loses next to nothing of all good masks, and those are many."""
CONFIDENCE = 0.95
BOLDEST = 0.98
"""Largest stake as a share of one that could lose all."""
_THINNING_SEED = 0
MOST_IMAGES = 100_000
"""Where so many further images would not do, nothing is promised of more."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoredMasks:
    """Masks whose worth is known.

    Attributes:
        scores: How sure the model was, shape (N,).
        is_good: Whether the mask needed no correction, shape (N,) bool.
        images: Which image each mask is of, shape (N,) int.
        weights: Inverse of each mask's probability to be judged with its image, shape (N,).
        image_weights: Inverse of the probability of each mask's image, up to a factor, shape (N,);
            None: all images had the same one.

    Raises:
        InvalidInputError: The shapes differ, a score is no number, or a weight not positive.
    """

    scores: Floats
    is_good: Bools
    images: npt.NDArray[np.int64]
    weights: Floats
    image_weights: Floats | None = None

    def __post_init__(self) -> None:
        of_images = self.weights if self.image_weights is None else self.image_weights
        columns = (self.scores, self.is_good, self.images, self.weights, of_images)
        shapes = {column.shape for column in columns}
        if len(shapes) != 1 or self.scores.ndim != 1:
            raise InvalidInputError(f"judged masks must have one length, not shapes {shapes}")
        if not np.isfinite(self.scores).all():
            raise InvalidInputError("scores must be finite")
        if not (self.weights > 0).all() or not (of_images > 0).all():
            raise InvalidInputError("weights must be positive")


def accept_threshold(
    judged: ScoredMasks, min_precision: float, confidence: float = CONFIDENCE
) -> float | None:
    """Lowest score from which masks are provably good enough.

    Args:
        judged: Masks that were drawn whatever their worth.
        min_precision: Share of an image's accepted masks that must be good, on average over images.
        confidence: That the promise holds.

    Returns:
        Masks with this score or a higher one may be accepted; None: nothing can be proven.

    Raises:
        InvalidInputError: A share is out of its range.
    """
    _check(min_precision=min_precision, confidence=confidence)
    tried = _candidates(judged.scores)[::-1]
    return _widest(
        tried,
        lambda bar: accept_p_value(judged, bar, min_precision),
        ACCEPT_STARTS,
        1 - confidence,
    )


def discard_threshold(
    judged: ScoredMasks, max_lost: float, confidence: float = CONFIDENCE
) -> float | None:
    """Highest score below which so few of the good masks lie that they may be thrown away.

    Args:
        judged: Masks that were drawn whatever their worth, also from what is discarded now.
        max_lost: Share of an image's good masks that may be lost, on average over images.
        confidence: That the promise holds.

    Returns:
        Masks with a lower score may be discarded; None: nothing can be proven.

    Raises:
        InvalidInputError: A share is out of its range.
    """
    _check(max_lost=max_lost, confidence=confidence)
    tried = _candidates(judged.scores)
    # below the lowest score lies nothing: to discard it is no promise
    return _widest(
        tried[1:],
        lambda bar: discard_p_value(judged, bar, max_lost),
        DISCARD_STARTS,
        1 - confidence,
    )


def accept_p_value(judged: ScoredMasks, threshold: float, min_precision: float) -> float:
    """How likely masks at least as good would be if their precision were too low.

    Args:
        judged: Masks whose worth is known.
        threshold: Masks from this score on are accepted.
        min_precision: That is asked for.
    """
    return _bet_against(*_wrong_accepted(judged, threshold), 1 - min_precision)


def discard_p_value(judged: ScoredMasks, threshold: float, max_lost: float) -> float:
    """How likely so few lost masks would be if more than allowed were lost.

    Args:
        judged: Masks whose worth is known.
        threshold: Masks below this score are discarded.
        max_lost: That is asked for.
    """
    losses = _image_losses(judged, judged.is_good, judged.scores < threshold)
    return _bet_against(*losses, max_lost)


def more_images_needed(
    judged: ScoredMasks, min_precision: float, confidence: float = CONFIDENCE
) -> int | None:
    """Further images like those judged that would prove some accept threshold; 0 if one is proven.

    Judged images are taken again, in their order, so that the answer is an expectation and no
    promise.

    Args:
        judged: Masks whose worth is known.
        min_precision: That is asked for.
        confidence: That the promise would hold.

    Returns:
        None where no number of them would do: at every candidate too many masks are wrong.
    """
    if accept_threshold(judged, min_precision, confidence) is not None:
        return 0
    bar = (1 - confidence) / len(ACCEPT_STARTS)
    needed = [
        _copies_needed(*_wrong_accepted(judged, one), 1 - min_precision, bar)
        for one in _candidates(judged.scores)
    ]
    found = [one for one in needed if one is not None]
    n_images = len(np.unique(judged.images))
    return max(1, min(found) - n_images) if found else None


def _copies_needed(losses: Floats, weights: Floats, allowed: float, bar: float) -> int | None:
    """Images of this kind in all that would do; None: no number of them."""
    if not len(losses) or np.average(losses, weights=weights) >= allowed:
        return None
    times = 1
    while times * len(losses) <= MOST_IMAGES:
        if _bet_against(np.tile(losses, times), np.tile(weights, times), allowed) <= bar:
            return times * len(losses)
        times += max(1, times // 4)
    return None


def _check(**shares: float) -> None:
    for name, value in shares.items():
        if not 0 < value < 1:
            raise InvalidInputError(f"{name} must lie between 0 and 1, not {value}")


def _candidates(scores: Floats) -> list[float]:
    """Quantiles of the scores, lowest first."""
    if not len(scores):
        return []
    shares = np.linspace(0, 1, N_CANDIDATES + 1)[:-1]
    return sorted(set(np.quantile(scores, shares, method="lower").tolist()))


def _widest(
    tried: Sequence[float],
    p_value: Callable[[float], float],
    starts: Sequence[float],
    error: float,
) -> float | None:
    """The last candidate, strictest first, that is reached without one that cannot be rejected."""
    widest = -1
    for start in (int(place * len(tried)) for place in starts):
        if start <= widest:
            continue  # an earlier start has come by here
        for place in range(start, len(tried)):
            if p_value(tried[place]) > error / len(starts):
                break
            widest = place
    return None if widest < 0 else tried[widest]


def _wrong_accepted(judged: ScoredMasks, threshold: float) -> tuple[Floats, Floats]:
    return _image_losses(judged, judged.scores >= threshold, ~judged.is_good)


def _image_losses(judged: ScoredMasks, whole: Bools, part: Bools) -> tuple[Floats, Floats]:
    """Which share of an image's masks in `whole` is in `part`, of images that have any.

    Returns:
        Shares and the images' weights, shape (I,) each.
    """
    if not whole.any():
        return np.zeros(0), np.zeros(0)
    places = np.random.default_rng(_THINNING_SEED).random(len(whole))
    kept = whole & (places < judged.weights / judged.weights[whole].max())
    _, first, image = np.unique(judged.images[kept], return_index=True, return_inverse=True)
    counts = np.bincount(image)
    weights = np.ones(len(kept)) if judged.image_weights is None else judged.image_weights
    return np.bincount(image, part[kept]) / counts, weights[kept][first]


def _bet_against(losses: Floats, weights: Floats, allowed: float) -> float:
    """p-value of "the mean loss is as high as allowed, or higher", for independent images.

    One bets on a lower one, with a stake that the images until then suggest; if it is not lower,
    the capital is expected not to grow, and so ever reaches 1/p with a probability of p at the most
    (Ville's inequality).

    Args:
        losses: Losses of each image, 0 to 1, shape (N,).
        weights: Weights of each image, above 0, likewise.
        allowed: Mean loss.
    """
    if not len(losses):
        return 1.0
    values = weights / weights.max() * (losses - allowed)  # 1 - allowed at the most
    before = np.arange(1, len(values) + 1)
    total = np.concatenate([[0.0], np.cumsum(values)[:-1]]) - allowed
    squares = np.concatenate([[0.0], np.cumsum(values**2)[:-1]]) + allowed**2
    stakes = np.clip(-total / before / (squares / before), 0.0, BOLDEST / (1 - allowed))
    capital = np.cumsum(np.log1p(-stakes * values))
    return float(min(1.0, np.exp(-capital.max())))
