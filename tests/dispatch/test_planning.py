"""Who gets which task: by hand-worked queues, and what must hold for all of them."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_backend.dispatch.planning import plan_queues
from sam_backend.dispatch.types import FreeTask, HeldTask, Labeller, Needs, Plan

XRAY = Needs(frozenset({"x-ray"}))


def free(number: int, **told: object) -> FreeTask:
    return FreeTask(number, **{"places": 1, "masks": 10.0} | told)


def held(lease: int, person: str, **told: object) -> HeldTask:
    return HeldTask(lease, free(lease, places=0, not_for=frozenset({person}), **told))


def queues(plan: Plan) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for one in plan.given:
        found.setdefault(one.person, []).append(one.task)
    return found


def test_queues_hold_so_much_work_and_the_most_urgent_first() -> None:
    people = [Labeller("fast", 10.0), Labeller("slow", 50.0)]
    tasks = [free(number, priority=number / 100) for number in range(1, 21)]
    plan = plan_queues(people, tasks, horizon_s=500.0, gold_share=0.0)
    # 100 s a task and 500 s: each takes one until there are 500 s in the queue
    assert queues(plan) == {"fast": [20, 18, 17, 16, 1], "slow": [19]}
    assert plan.moved == []


def test_a_person_gets_a_task_once_and_a_task_as_often_as_it_asks() -> None:
    people = [Labeller(name, 10.0) for name in "abc"]
    tasks = [free(1, places=2), free(2, places=2, not_for=frozenset({"a"})), free(3, places=9)]
    plan = plan_queues(people, tasks, horizon_s=1e6, gold_share=0.0)
    assert Counter(one.task for one in plan.given) == {1: 2, 2: 2, 3: 3}
    assert len({(one.task, one.person) for one in plan.given}) == 7
    assert "a" not in {one.person for one in plan.given if one.task == 2}


def test_skills_and_languages_are_honoured_and_what_nobody_can_do_is_told() -> None:
    people = [
        Labeller("doctor", 10.0, frozenset({"x-ray"}), frozenset({"de"})),
        Labeller("other", 10.0),
    ]
    nobody = Needs(frozenset({"x-ray", "ct"}))
    tasks = [
        *(free(number, priority=0.9) for number in range(1, 8)),
        *(free(number, needs=XRAY) for number in range(11, 15)),
        free(21, needs=Needs(language="de")),
        free(22, needs=Needs(language="fr")),
        free(23, needs=nobody, places=3),
    ]
    plan = plan_queues(people, tasks, horizon_s=600.0, gold_share=0.0)
    # only the doctor can do five of them: the other one does more of the rest
    assert set(queues(plan)["doctor"]) >= {11, 12, 13, 14, 21}
    assert set(queues(plan)["other"]) < set(range(1, 9))
    assert len(queues(plan)["other"]) == 6
    assert plan.unservable == {Needs(language="fr"): 1, nobody: 3}
    away = Labeller("away", 10.0, frozenset({"x-ray", "ct"}), is_present=False, is_expected=False)
    again = plan_queues([*people, away], [free(23, needs=nobody)], 600.0, 0.0)
    assert again.unservable == {nobody: 1}
    all_have = free(1, places=2, not_for=frozenset({"doctor", "other"}))
    assert plan_queues(people, [all_have], 600.0, 0.0).unservable == {Needs(): 2}
    idle = Labeller("idle", 10.0, frozenset({"x-ray", "ct"}), is_present=False)
    assert plan_queues([*people, idle], [free(23, needs=nobody)], 600.0, 0.0).unservable == {}


def test_the_ends_of_long_queues_move_once_nothing_is_left() -> None:
    slow = Labeller("slow", 50.0, held=tuple(held(n, "slow") for n in (1, 2, 3)))
    plan = plan_queues([slow, Labeller("fast", 10.0)], [], 1800.0, 0.0, keep=1)
    assert [(move.lease, move.given.person) for move in plan.moved] == [(3, "fast"), (2, "fast")]
    again = plan_queues([slow, Labeller("fast", 10.0)], [free(9)], 50.0, 0.0, keep=1)
    assert (queues(again), again.moved) == ({"fast": [9]}, [])


def test_what_absent_people_hold_goes_all_to_those_who_are_here() -> None:
    gone = Labeller("gone", 10.0, is_present=False, held=(held(1, "gone"), held(2, "gone")))
    plan = plan_queues([gone, Labeller("here", 10.0)], [free(3)], 1800.0, 0.0)
    assert queues(plan) == {"here": [3]}
    assert {move.lease for move in plan.moved} == {1, 2}
    alone = plan_queues([gone], [free(3)], 1800.0, 0.0)
    assert (alone.given, alone.moved) == ([], [])


def test_gold_comes_at_its_rate_and_looks_like_any_other() -> None:
    people = [Labeller(str(number), 1.0) for number in range(4)]
    tasks = [
        *(free(n, masks=1.0, priority=n / 1000, reason=f"because {n}") for n in range(1, 801)),
        *(free(n, masks=1.0, is_gold=True) for n in range(1001, 1101)),
    ]
    plan = plan_queues(people, tasks, horizon_s=200.0, gold_share=0.05)
    for person in people:
        own = [one for one in plan.given if one.person == person.person]
        places = [place for place, one in enumerate(own) if one.is_gold]
        assert len(own) == 200
        assert len(places) == pytest.approx(10, abs=1)
        assert all(one.reason and one.priority > 0 for one in own)
    starts = {
        next(place for place, one in enumerate(plan.given) if one.is_gold and one.person == p)
        for p in "0123"
    }
    assert len(starts) == 4, "nobody can foretell which one it is"
    only = plan_queues(people[:1], tasks[800:], horizon_s=200.0, gold_share=0.05)
    assert len(only.given) <= 1, "not in a block where other tasks have run out"


def test_one_in_five_is_the_oldest_so_that_none_waits_for_ever() -> None:
    tasks = [free(n, priority=n / 100) for n in range(1, 41)]
    plan = plan_queues([Labeller("a", 10.0)], tasks, 1500.0, 0.0)
    own = [one.task for one in plan.given]
    assert own == [40, 39, 38, 37, 1, 36, 35, 34, 33, 2, 32, 31, 30, 29, 3]
    old = next(one for one in plan.given if one.task == 1)
    assert (old.reason, old.priority) == ("has waited longest", 0.36)
    plain = plan_queues([Labeller("a", 10.0)], [free(n, priority=-n) for n in (1, 2, 3)], 1e6, 0.0)
    assert [one.task for one in plain.given] == [1, 2, 3]


def test_who_is_only_expected_gets_one_task_that_others_may_take() -> None:
    gone = Labeller("gone", 10.0, limit=1)
    plan = plan_queues([gone, Labeller("here", 10.0)], [free(n) for n in range(9)], 300.0, 0.0)
    assert {who: len(own) for who, own in queues(plan).items()} == {"gone": 1, "here": 3}
    gone = Labeller("gone", 10.0, limit=1, held=(held(1, "gone"),))
    plan = plan_queues([gone, Labeller("here", 10.0)], [], 300.0, 0.0)
    assert [move.given.person for move in plan.moved] == ["here"]
    assert (
        plan_queues([gone, Labeller("here", 10.0)], [free(n) for n in (5, 6, 7)], 300.0, 0.0).moved
        == []
    )


PEOPLE = st.lists(
    st.builds(
        lambda number, pace, skilled, here: Labeller(
            str(number), pace, frozenset({"x-ray"}) if skilled else frozenset(), is_present=here
        ),
        st.integers(0, 5),
        st.floats(1, 60),
        st.booleans(),
        st.booleans(),
    ),
    max_size=6,
    unique_by=lambda one: one.person,
)
TASKS = st.lists(
    st.builds(
        lambda number, places, skilled, done: free(
            number,
            places=places,
            needs=XRAY if skilled else Needs(),
            not_for=frozenset(map(str, done)),
        ),
        st.integers(1, 40),
        st.integers(1, 3),
        st.booleans(),
        st.sets(st.integers(0, 5), max_size=2),
    ),
    max_size=30,
    unique_by=lambda one: one.number,
)


@given(PEOPLE, TASKS, st.floats(60, 2000))
def test_whatever_the_team_nothing_is_given_twice(
    people: list[Labeller], tasks: list[FreeTask], horizon_s: float
) -> None:
    plan = plan_queues(people, tasks, horizon_s, 0.1)
    by_number, by_person = {t.number: t for t in tasks}, {p.person: p for p in people}
    assert len({(one.task, one.person) for one in plan.given}) == len(plan.given)
    for number, count in Counter(one.task for one in plan.given).items():
        assert count <= by_number[number].places
    for one in plan.given:
        person, task = by_person[one.person], by_number[one.task]
        assert person.is_present
        assert person.can_do(task.needs)
        assert one.person not in task.not_for
    for person in people:  # nobody waits while there is something to do
        load = sum(person.seconds_for(by_number[t]) for t in queues(plan).get(person.person, ()))
        taken = Counter(one.task for one in plan.given)
        could = [
            task
            for task in tasks
            if person.is_present
            and person.can_do(task.needs)
            and person.person not in task.not_for
            and taken[task.number] < task.places
            and (task.number, person.person) not in {(g.task, g.person) for g in plan.given}
        ]
        assert load >= horizon_s or not could
