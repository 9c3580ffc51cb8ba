"""Thresholds that are proven: the promise holds in simulated projects, and is not too timid."""

import numpy as np
import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.quality.proven_thresholds import (
    ScoredMasks,
    accept_p_value,
    accept_threshold,
    discard_threshold,
    more_images_needed,
)

PRECISION, LOST = 0.9, 0.1


def judged(scores: np.ndarray, is_good: np.ndarray, images: np.ndarray) -> ScoredMasks:
    return ScoredMasks(scores, is_good, images, np.ones(len(scores)))


def project(rng: np.random.Generator, n_images: int, spread: float = 0.0) -> ScoredMasks:
    """Judged masks of a model whose masks are mostly good from a score of 0.4 on.

    With a spread, images differ: all masks of a hard one are worse than their scores say.
    """
    images = np.repeat(np.arange(n_images), rng.integers(1, 12, n_images))
    scores = rng.random(len(images))
    hardness = rng.normal(0, spread, n_images)[images]
    chance = 1 / (1 + np.exp(-16 * (scores - 0.4) + hardness))
    return judged(scores, rng.random(len(images)) < chance, images)


GRID = np.linspace(0, 1, 201)


def truth(spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Precision from each score of the grid on, and share of good masks below it."""
    world = project(np.random.default_rng(99), 40_000, spread)
    precision = [world.is_good[world.scores >= bar].mean() for bar in GRID[:-1]]
    lost = [(world.scores[world.is_good] < bar).mean() for bar in GRID]
    return np.array([*precision, 1.0]), np.array(lost)


@pytest.mark.parametrize("spread", [0.0, 3.0])
def test_the_promise_is_broken_in_at_most_one_of_twenty_projects(spread: float) -> None:
    rng = np.random.default_rng(3)
    precision, lost = truth(spread)
    projects = [project(rng, 300, spread) for _ in range(1000)]
    accepts = [accept_threshold(one, PRECISION) for one in projects]
    discards = [discard_threshold(one, LOST) for one in projects]
    kept = [float(np.interp(bar, GRID, precision)) for bar in accepts if bar is not None]
    thrown = [float(np.interp(bar, GRID, lost)) for bar in discards if bar is not None]
    assert sum(value < PRECISION for value in kept) <= 50
    assert sum(value > LOST for value in thrown) <= 50
    assert min(len(kept), len(thrown)) > 900  # most projects are told thresholds at all
    hoped = [float(np.interp(_observed(one), GRID, precision)) for one in projects]
    assert sum(value < PRECISION for value in hoped) > 300  # what was seen is no proof


def _observed(one: ScoredMasks) -> float:
    """The lowest score of the grid from which the judged masks themselves are precise enough."""
    seen = (one.is_good[one.scores >= bar].mean() for bar in GRID[:190])
    return float(next(bar for bar, value in zip(GRID, seen, strict=False) if value >= PRECISION))


def test_more_images_bring_the_threshold_near_to_the_best() -> None:
    precision, lost = truth(0)
    best_accept = GRID[np.argmax(precision >= PRECISION)]
    best_discard = GRID[np.flatnonzero(lost <= LOST)[-1]]
    many = project(np.random.default_rng(1), 3000)
    accept, discard = accept_threshold(many, PRECISION), discard_threshold(many, LOST)
    assert accept is not None
    assert discard is not None
    assert best_accept <= accept < best_accept + 0.06
    assert best_discard - 0.06 < discard <= best_discard


def test_nothing_can_be_proven() -> None:
    rng = np.random.default_rng(0)
    few = project(rng, 4)
    assert accept_threshold(few, PRECISION) is None
    more = more_images_needed(few, PRECISION)
    assert more is not None
    assert 10 < more < 200
    bad = judged(rng.random(500), rng.random(500) < 0.5, np.arange(500))
    assert accept_threshold(bad, PRECISION) is None
    assert more_images_needed(bad, PRECISION) is None  # no number of such masks would do
    none = judged(np.zeros(0), np.zeros(0, np.bool_), np.zeros(0, np.int64))
    assert accept_threshold(none, PRECISION) is None
    assert discard_threshold(none, LOST) is None
    assert more_images_needed(none, PRECISION) is None
    assert accept_p_value(few, 2.0, PRECISION) == 1


def test_clean_images_prove_nearly_as_soon_as_the_exact_test() -> None:
    def clean(n: int) -> ScoredMasks:
        return judged(np.ones(n), np.ones(n, np.bool_), np.arange(n))

    needed = next(n for n in range(1, 100) if accept_p_value(clean(n), 0.5, PRECISION) <= 0.05)
    assert 29 <= needed <= 36  # 29: the least with 0.9^n <= 0.05
    told = more_images_needed(clean(10), PRECISION)
    assert told is not None
    enough = clean(10 + told)
    assert accept_threshold(enough, PRECISION) == 1.0
    assert more_images_needed(enough, PRECISION) == 0


def test_masks_of_one_image_are_no_independent_witnesses() -> None:
    n = 60
    scores, is_good = np.ones(n), np.ones(n, np.bool_)
    apart = judged(scores, is_good, np.arange(n))
    together = judged(scores, is_good, np.arange(n) // 20)
    assert accept_p_value(apart, 0.5, PRECISION) < 0.05 < accept_p_value(together, 0.5, PRECISION)


def test_a_slice_of_the_discarded_stands_for_all_of_them() -> None:
    """Of the masks under 0.3 every tenth was shown: with its weight it counts for ten."""
    rng = np.random.default_rng(5)
    n = 6000
    scores = rng.random(n)
    is_good = rng.random(n) < np.where(scores < 0.3, 0.3, 0.9)  # 12.5 % of the good lie below
    is_shown = (scores >= 0.3) | (rng.random(n) < 0.1)
    images = np.arange(n) // 5
    weights = np.where(scores < 0.3, 10.0, 1.0)
    shown = [column[is_shown] for column in (scores, is_good, images)]
    blind = discard_threshold(judged(*shown), 0.06)
    weighted = discard_threshold(ScoredMasks(*shown, weights[is_shown]), 0.06)
    assert blind is not None
    assert blind > 0.3  # the masks that nobody saw seem not to be there
    assert weighted is None or weighted < 0.16


def test_wrong_input() -> None:
    with pytest.raises(InvalidInputError, match="one length"):
        judged(np.ones(3), np.ones(2, np.bool_), np.arange(3))
    with pytest.raises(InvalidInputError, match="finite"):
        judged(np.array([np.nan]), np.ones(1, np.bool_), np.arange(1))
    with pytest.raises(InvalidInputError, match="positive"):
        ScoredMasks(np.ones(1), np.ones(1, np.bool_), np.arange(1), np.zeros(1))
    some = project(np.random.default_rng(0), 3)
    with pytest.raises(InvalidInputError, match="min_precision must lie between 0 and 1, not 1"):
        accept_threshold(some, 1.0)
    with pytest.raises(InvalidInputError, match="max_lost must lie between 0 and 1, not 0"):
        discard_threshold(some, 0.0)
    with pytest.raises(InvalidInputError, match="confidence must lie between 0 and 1, not 2"):
        discard_threshold(some, 0.1, 2.0)
