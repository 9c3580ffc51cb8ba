"""The sides that an order is made of."""

import numpy as np
import pytest

from sam_backend.dispatch.ordering.scores import (
    Sides,
    Weights,
    diversity_order,
    expected_presence,
    typicality,
)
from sam_backend.errors import InvalidInputError

NAN = float("nan")


def fan(*degrees: float) -> np.ndarray:
    """Unit vectors at these angles, shape (N, 2) float32."""
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_a_sum_counts_what_is_known() -> None:
    sides = Sides(
        uncertainty=np.array([1.0, 0.0, NAN]),
        gap=np.full(3, NAN),
        diversity=np.array([0.0, 1.0, 0.5]),
        freshness=np.array([0.0, 0.0, 1.0]),
    )
    sums, parts = sides.weighted(Weights(2.0, 5.0, 1.0, 1.0))
    assert sums == pytest.approx([0.5, 0.25, (1.0 + 0.5 + 1.0) / 4])
    assert parts[0] == pytest.approx([0.25, 0.0, -0.125, -1 / 12])
    nothing, _ = Sides(*(np.full(2, NAN) for _ in range(4))).weighted(Weights(1, 1, 1, 1))
    assert nothing.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("told", [(0, 0, 0, 0), (1, -1, 1, 1)])
def test_weights_that_are_none(told: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInputError, match="weights are not negative"):
        Weights(*told)


def test_the_middle_of_a_crowd_is_typical() -> None:
    features = fan(0, 2, 4, 6, 8, 90)
    assert typicality(features).argmax() == 2
    assert typicality(features).argmin() == 5
    assert typicality(fan(0)).tolist() == [1.0]


def test_typical_ones_come_first_from_the_kinds_with_least() -> None:
    # twenty neighbours are more than there are: the far ones pull towards them
    features = fan(0, 2, 4, 6, 8, 90, 92, 94)
    kinds = np.array([0, 0, 0, 0, 0, 1, 1, 1])
    order, typical = diversity_order(features, kinds, np.zeros(8, bool))
    assert kinds[order[:4]].tolist() == [0, 1, 0, 1], "the larger kind first, then in turn"
    assert typicality(features)[order[0]] == typicality(features)[kinds == 0].max()
    assert sorted(order) == list(range(8))
    assert all(typical)
    one = np.array([False, False, True, False, False, False, False, False])
    assert kinds[diversity_order(features, kinds, one)[0][0]] == 1


def test_later_the_farthest_from_all_that_is_labelled() -> None:
    features = fan(0, 1, 2, 3, 45, 88, 90)
    kinds = np.zeros(7, np.int64)
    order, typical = diversity_order(
        features, kinds, np.array([True, True, False, False, False, False, False])
    )
    assert order == [6, 4, 5, 3, 2] or order == [6, 4, 3, 5, 2]
    assert not any(typical)
    assert diversity_order(features, kinds, np.ones(7, bool)) == ([], [])


def test_what_an_image_holds_is_learned_from_the_labelled_ones() -> None:
    features = fan(0, 1, 2, 90, 91, 1.5, 90.5)
    is_labelled = np.array([True] * 5 + [False] * 2)
    contents = [{"leaf": 3}, {"leaf": 1}, {"leaf": 1}, {"fruit": 1}, {"fruit": 2}]
    found = expected_presence(features, is_labelled, contents, ["leaf", "fruit", "stone"])
    assert found[:5].tolist() == [[0, 0, 0]] * 5
    assert found[5, 0] > 0.5 > found[5, 1]
    assert found[6, 1] > 0.5 > found[6, 0]
    assert found[:, 2].tolist() == [0] * 7, "nobody has seen one"
    all_hold = [{"leaf": 1}] * 5
    assert expected_presence(features, is_labelled, all_hold, ["leaf"])[5:, 0].tolist() == [1, 1]
    assert not expected_presence(features, np.zeros(7, bool), [], ["leaf"]).any()


def test_a_rare_thing_is_told_by_a_direction_that_distances_drown() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(120, 30)).astype(np.float32)
    features[:, :3] *= 20  # what differs most says nothing
    is_rare = np.arange(120) % 12 == 0
    features[is_rare, 7] += 6
    is_labelled = np.arange(120) < 60
    contents = [{"rare": 1} if rare else {"common": 1} for rare in is_rare[is_labelled]]
    found = expected_presence(features, is_labelled, contents, ["rare"])[:, 0]
    first = np.argsort(-found)[: is_rare[~is_labelled].sum()]
    assert is_rare[first].all()
