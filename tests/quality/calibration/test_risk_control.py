"""Thresholds that are proven: the promise holds in simulated projects, and is not too timid."""

import numpy as np
import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.quality.calibration.risk_control import (
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

    With a spread, images differ: all masks of a hard one are worse than their scores say, and a
    hard one has more of them, a hundred at the most.
    """
    hardness = rng.normal(0, spread, n_images)
    counts = 1 + np.minimum(rng.poisson(5 * np.exp(hardness / 2)), 99)
    images = np.repeat(np.arange(n_images), counts)
    scores = rng.random(len(images))
    chance = 1 / (1 + np.exp(-16 * (scores - 0.4) + hardness[images]))
    return judged(scores, rng.random(len(images)) < chance, images)


GRID = np.linspace(0, 1, 101)


def mean_over_images(world: ScoredMasks, whole: np.ndarray, part: np.ndarray) -> float:
    """Of an image's masks in `whole` the share in `part`, over images that have any."""
    counts = np.bincount(world.images[whole])
    parts = np.bincount(world.images[whole], part[whole])
    return float((parts[counts > 0] / counts[counts > 0]).mean())


def truth(spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Precision from each score of the grid on, and share of good masks below it, over images."""
    world = project(np.random.default_rng(99), 40_000, spread)
    is_good, scores = world.is_good, world.scores
    precision = [mean_over_images(world, scores >= bar, is_good) for bar in GRID[:-1]]
    lost = [mean_over_images(world, is_good, scores < bar) for bar in GRID]
    return np.array([*precision, 1.0]), np.array(lost)


@pytest.mark.parametrize("spread", [0.0, 3.0])
def test_the_promise_is_broken_in_at_most_one_of_twenty_projects(spread: float) -> None:
    rng = np.random.default_rng(3)
    precision, lost = truth(spread)
    projects = [project(rng, 300, spread) for _ in range(400)]
    accepts = [accept_threshold(one, PRECISION) for one in projects]
    discards = [discard_threshold(one, LOST) for one in projects]
    kept = [float(np.interp(bar, GRID, precision)) for bar in accepts if bar is not None]
    thrown = [float(np.interp(bar, GRID, lost)) for bar in discards if bar is not None]
    assert sum(value < PRECISION for value in kept) <= 28
    assert sum(value > LOST for value in thrown) <= 28
    assert min(len(kept), len(thrown)) > 360  # most projects are told thresholds at all
    hoped = [float(np.interp(_observed(one), GRID, precision)) for one in projects]
    assert sum(value < PRECISION for value in hoped) > 120  # what was seen is no proof


def _observed(one: ScoredMasks) -> float:
    """The lowest score of the grid from which the judged masks themselves are precise enough."""
    seen = (mean_over_images(one, one.scores >= bar, one.is_good) for bar in GRID[:95])
    return float(next(bar for bar, value in zip(GRID, seen, strict=False) if value >= PRECISION))


Loss = tuple[float, int, int]
"""How many images of a kind there are, masks of each, and how many of these are wrong."""

WORLDS: dict[str, list[Loss]] = {
    "rare images, full of wrong masks": [(0.88, 2, 0), (0.12, 100, 100)],
    "rare images with one wrong mask": [(0.88, 100, 0), (0.12, 1, 1)],
    "some wrong on each": [(1.0, 50, 6)],
    "worse, the more masks": [(0.5, 3, 0), (0.3, 10, 2), (0.2, 60, 20)],
    "worse, the fewer masks": [(0.7, 60, 3), (0.3, 3, 1)],
}


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("n_images", [20, 60, 400])
def test_a_risk_above_the_bound_is_proven_in_at_most_one_of_twenty(
    name: str, n_images: int
) -> None:
    """Numbers of masks go with quality, either way: each kind of image is equally likely anew."""
    kinds = WORLDS[name]
    shares, counts, wrong = (np.array(column) for column in zip(*kinds, strict=True))
    assert (shares * wrong / counts).sum() > 1 - PRECISION  # so that there is nothing to prove
    rng = np.random.default_rng(len(name))
    proven = 0
    for drawn in rng.choice(len(kinds), (400, n_images), p=shares):
        images = np.repeat(np.arange(n_images), counts[drawn])
        place = np.arange(len(images)) - np.searchsorted(images, images)
        is_good = place >= wrong[drawn][images]
        proven += accept_p_value(judged(np.ones(len(images)), is_good, images), 0, PRECISION) < 0.05
    assert proven <= 28  # of 400; 20 are expected at the bound, 28 in one of thirty such tests


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


def test_images_that_were_drawn_more_often_count_for_less() -> None:
    """Of two kinds the better one is drawn four times as often as the other."""
    rng = np.random.default_rng(3)
    n = 1500
    is_kind = np.repeat(rng.random(n) < 0.8, 3)
    is_good = rng.random(3 * n) < np.where(is_kind, 0.98, 0.84)  # 0.91 of all
    images, ones = np.arange(3 * n) // 3, np.ones(3 * n)
    weighted = ScoredMasks(ones, is_good, images, ones, np.where(is_kind, 0.25, 1.0))
    assert accept_p_value(judged(ones, is_good, images), 0, 0.93) < 0.05
    assert accept_p_value(weighted, 0, 0.93) > 0.2
    assert accept_p_value(weighted, 0, 0.88) < 0.05


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
