"""What is lacking, and which tasks bring it."""

import numpy as np
import pytest

from sam_backend.dispatch.ordering.groups import KIND, LABEL, Group, groups_of, injections


def test_wanted_lies_between_what_there_is_and_equal_shares() -> None:
    leaf, fruit = groups_of(LABEL, {"leaf": 99, "fruit": 0})
    # one more of each: 100 to 1, and 10 to 1 of the roots
    assert (leaf.share, fruit.share) == (1.0, 0.0)
    assert (leaf.wanted, fruit.wanted) == (pytest.approx(10 / 11), pytest.approx(1 / 11))
    assert (leaf.lack, fruit.lack) == (0.0, 1.0)
    assert (leaf.is_under, fruit.is_under) == (False, True)


def test_what_there_is_counts_where_it_is_known() -> None:
    groups = groups_of(KIND, {"0": 5, "1": 0}, {"0": 143, "1": 15})
    assert [group.wanted for group in groups] == [pytest.approx(0.75), pytest.approx(0.25)]
    nothing = groups_of(KIND, {"0": 0, "1": 0}, {"0": 3, "1": 3})
    assert [(group.share, group.wanted, group.lack) for group in nothing] == [(0, 0.5, 1)] * 2


def test_injections_fill_the_emptiest_group_and_count_what_they_bring() -> None:
    groups = [
        Group(LABEL, "common", 90, 0.9, 0.5),
        Group(LABEL, "rare", 10, 0.1, 0.5),
        Group(KIND, "0", 60, 0.6, 0.6),
        Group(KIND, "1", 40, 0.4, 0.4),
    ]
    members = np.array(
        [
            [1.0, 0.0, 1.0, 0.0],  # common
            [0.2, 0.8, 1.0, 0.0],  # most likely rare
            [0.0, 0.4, 0.0, 1.0],  # perhaps rare
            [0.0, 0.4, 0.0, 1.0],  # the same, more urgent
        ]
    )
    ranking = np.array([0.9, 0.1, 0.2, 0.3])
    assert injections(groups, members, ranking, 9) == [(1, 1), (3, 1), (2, 1)]
    empty = [*groups[:2], Group(KIND, "0", 0, 0.0, 0.5), Group(KIND, "1", 0, 0.0, 0.5)]
    by_turns = [group for _, group in injections(empty, members, ranking, 4)]
    assert [empty[group].what for group in by_turns] == [KIND, LABEL, KIND, LABEL]
    assert injections(groups, members, ranking, 1) == [(1, 1)]
    filled = [Group(LABEL, "common", 50, 0.5, 0.5), Group(LABEL, "rare", 50, 0.5, 0.5)]
    assert injections(filled, members[:, :2], ranking, 9) == []
    few = [Group(LABEL, "common", 6, 0.6, 0.5), Group(LABEL, "rare", 3.1, 0.34, 0.5)]
    # two of them and a half are enough for three quarters of what is wanted
    assert len(injections(few, np.tile([0.0, 1.0], (9, 1)), np.zeros(9), 9)) == 1
