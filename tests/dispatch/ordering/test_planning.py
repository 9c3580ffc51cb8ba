"""The order of a project's tasks: nothing is left out, and rare kinds are found."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from benchmarks.ordering import Pool, choose, groups_after, labelled
from sam_backend.dispatch.ordering.planning import (
    KnownTask,
    Survey,
    change_table,
    kinds_of,
    plan_order,
    survey,
)
from sam_backend.dispatch.ordering.scores import STAGE_WEIGHTS, Weights
from sam_backend.store.annotation_contents import Contents

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
NOTHING = Contents({}, {})


def task(number: int, **told: object) -> KnownTask:
    known = {"made_at": None, "contents": (), "features": None, "score": None, "coverage": None}
    known |= {"waits": not told.get("contents")}
    return KnownTask(number, **(known | told))


def surveyed(tasks: list[KnownTask], labels: list[str], n_kinds: int) -> Survey:
    return survey(tasks, labels, kinds_of([one.features for one in tasks], n_kinds))


def pool(n: int = 400, rare: float = 0.02, seed: int = 0) -> Pool:
    """Two common kinds in 16 dimensions, and a rare one far from both."""
    rng = np.random.default_rng(seed)
    is_rare = rng.permutation(np.arange(n) < round(rare * n))
    centres = np.eye(3, 16) * 4
    kinds = np.where(is_rare, 2, rng.integers(0, 2, n))
    features = (centres[kinds] + rng.normal(0, 0.6, (n, 16))).astype(np.float32)
    names = ("boxes", "clutter", "leaves")
    truth = [Contents({names[kind]: 3}, {"small": 2, "large": 1}) for kind in kinds]
    tasks = [task(place + 1, features=features[place]) for place in range(n)]
    return Pool(tasks, truth, is_rare)


def test_a_planted_rare_kind_is_found_with_a_tenth_of_the_work() -> None:
    recalls: dict[float | None, list[float]] = {None: [], 0.3: []}
    for seed in range(4):
        tasks = pool(seed=seed)
        for inject, found in recalls.items():
            chosen = choose(tasks, 40, seed, inject)
            assert len(set(chosen)) == 40
            found.append(tasks.is_rare[chosen].sum() / tasks.is_rare.sum())
    assert np.mean(recalls[None]) < 0.3, "at random a tenth"
    assert np.mean(recalls[0.3]) > 0.6
    assert np.mean(recalls[0.3]) > 2 * np.mean(recalls[None])


def test_shapes_without_a_size_are_named_with_their_task() -> None:
    told = Contents({"leaf": 2}, {"small": 1}, (("malformed mask", "region d: no pixels"),))
    found = survey([task(7, contents=(told, told)), task(8)], ["leaf"], np.full(2, -1))
    assert found.unread == {"malformed mask": 2}
    assert set(found.unread.names("malformed mask")) == {"task 7, region d: no pixels"}


def test_what_was_under_represented_is_less_so_afterwards() -> None:
    tasks = pool()
    chosen = np.flatnonzero(~tasks.is_rare)[:60].tolist()
    before = groups_after(tasks, chosen)
    places = {one.number: place for place, one in enumerate(tasks.tasks)}
    found = surveyed(labelled(tasks, chosen), ["boxes", "clutter", "leaves"], 10)
    orders = plan_order(found, STAGE_WEIGHTS["2"], 0.5, NOON)
    after = groups_after(tasks, [*chosen, *(places[one.task] for one in orders[:20])])
    rows = {(row.what, row.name): row for row in change_table(before, after)}
    leaves = rows["label", "leaves"]
    assert leaves.under_represented_before
    assert leaves.share_before == 0
    assert leaves.share > 0
    n_before = sum(row.under_represented_before for row in rows.values())
    n_after = sum(row.under_represented for row in rows.values())
    assert n_after < n_before


def test_everything_that_waits_has_one_place_and_a_reason() -> None:
    tasks = pool(60)
    some = labelled(tasks, range(0, 60, 3))
    orders = plan_order(surveyed(some, [], 5), STAGE_WEIGHTS["1"], 0.3, NOON)
    waiting = {one.number for one in some if not one.contents}
    assert {one.task for one in orders} == waiting
    assert len(orders) == len(waiting)
    priorities = [one.priority for one in orders]
    assert priorities == sorted(priorities, reverse=True)
    assert len(set(priorities)) == len(priorities)
    assert 0 < min(priorities) <= max(priorities) == 1
    assert all(one.reason for one in orders)
    done = surveyed([task(1, contents=(NOTHING,))], [], 5)
    assert plan_order(done, STAGE_WEIGHTS["1"], 0, NOON) == []


@pytest.mark.parametrize(
    ("weights", "first", "reason"),
    [
        (Weights(1, 0, 0, 0), 2, "the model is unsure: score 0.10"),
        (Weights(0, 1, 0, 0), 3, "90% of the picture has no sure mask"),
        (Weights(0, 0, 0, 1), 4, "new: of 2026-01-05"),
    ],
)
def test_the_heaviest_side_leads_and_says_why(weights: Weights, first: int, reason: str) -> None:
    tasks = [
        task(1, made_at=NOON, score=0.9, coverage=0.9),
        task(2, made_at=NOON, score=0.1, coverage=0.9),
        task(3, made_at=NOON, score=0.9, coverage=0.1),
        task(4, made_at=NOON + timedelta(days=3), score=0.9, coverage=0.9),
        task(5, made_at=NOON),
    ]
    orders = plan_order(surveyed(tasks, [], 5), weights, 0.0, NOON)
    assert (orders[0].task, orders[0].reason) == (first, reason)
    assert orders[0].scores.keys() == {"uncertainty", "gap", "freshness"}


def test_without_anything_known_tasks_stay_in_their_order() -> None:
    orders = plan_order(
        surveyed([task(n) for n in (3, 5, 9)], [], 5), STAGE_WEIGHTS["1"], 0.2, NOON
    )
    assert [(one.task, one.reason) for one in orders] == [
        (3, "next in order"),
        (5, "next in order"),
        (9, "next in order"),
    ]


def test_a_task_that_wants_a_second_annotation_keeps_its_place_and_reason() -> None:
    tasks = pool(30)
    some = labelled(tasks, range(15))
    some[0] = replace(some[0], waits=True)
    orders = plan_order(surveyed(some, [], 5), STAGE_WEIGHTS["1"], 0.0, NOON)
    (own,) = (one for one in orders if one.task == some[0].number)
    assert own.reason
    assert len(orders) == 16


def test_a_config_without_labels_and_a_task_that_is_like_any_other() -> None:
    features = np.ones(4, np.float32)
    tasks = [task(n, features=features, score=0.99, coverage=0.98) for n in (1, 2)]
    orders = plan_order(surveyed(tasks, [], 5), STAGE_WEIGHTS["3"], 0.3, NOON)
    assert len(orders) == 2
    (alone,) = plan_order(surveyed(tasks[:1], [], 5), STAGE_WEIGHTS["3"], 0.0, NOON)
    assert alone.reason == "next in order", "nothing about it is special"
