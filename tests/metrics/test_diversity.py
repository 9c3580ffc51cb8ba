"""Kinds of images: the centres are far apart, rare kinds get their quota."""

import numpy as np
import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.metrics.diversity import k_center, nearest, quotas


def three_kinds() -> tuple[np.ndarray, np.ndarray]:
    """A common kind, a smaller and a rare one, and which is which."""
    rng = np.random.default_rng(0)
    kinds = np.repeat([0, 1, 2], [90, 9, 1])
    centres = np.eye(3, 8)
    return (centres[kinds] + rng.normal(0, 0.02, (100, 8))).astype(np.float32), kinds


@pytest.mark.parametrize("seed", range(5))
def test_every_kind_gets_a_centre(seed: int) -> None:
    features, kinds = three_kinds()
    centres = k_center(features, 3, seed)
    assert set(kinds[centres]) == {0, 1, 2}
    found = nearest(features, features[centres])
    assert (kinds[centres][found] == kinds).all()


def test_centres_are_within_twice_the_best_radius() -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(60, 3)).astype(np.float32)
    points = features / np.linalg.norm(features, axis=1, keepdims=True)

    def radius(centres: np.ndarray) -> float:
        gaps = np.linalg.norm(points[:, None] - points[centres][None], axis=2)
        return float(gaps.min(axis=1).max())

    best = min(radius(rng.choice(60, 4, replace=False)) for _ in range(2000))
    assert radius(k_center(features, 4)) <= 2 * best + 1e-6


def test_equal_images_are_one_kind() -> None:
    assert len(k_center(np.ones((5, 3), np.float32), 4)) == 1
    assert len(k_center(np.zeros((5, 3), np.float32), 4)) == 1


@pytest.mark.parametrize(("n", "k"), [(0, 3), (3, 0)])
def test_nothing_to_choose_from(n: int, k: int) -> None:
    with pytest.raises(InvalidInputError, match="needs images and k from 1 on"):
        k_center(np.zeros((n, 2), np.float32), k)


@pytest.mark.parametrize(
    ("sizes", "n", "told"),
    [
        ([90, 9, 1], 12, [5, 6, 1]),
        ([90, 9, 1], 3, [1, 1, 1]),
        ([90, 9, 1], 2, [0, 1, 1]),
        ([5, 5], 100, [5, 5]),
        ([10], 4, [4]),
    ],
)
def test_quotas(sizes: list[int], n: int, told: list[int]) -> None:
    assert quotas(np.array(sizes), n).tolist() == told
