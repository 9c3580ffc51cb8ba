"""Queues follow what people do, whatever they do."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from sam_backend.dispatch.types import Needs
from sam_backend.errors import InvalidInputError
from sam_backend.store.database import Database
from sam_backend.store.gold import Gold, GoldCopy
from sam_backend.store.leases import Outcome
from sam_backend.store.task_orders import TaskOrder, TaskOrders
from tests.dispatch.queued_project import SETTINGS, QueuedProject, queued_project
from tests.labelstudio.played_project import PROJECT
from tests.versions.making import brush

ANNA, BEN, CARL = 7, 8, 9


@pytest.fixture
def project(database: Database) -> Iterator[QueuedProject]:
    with queued_project(database) as opened:
        yield opened


def quick(project: QueuedProject, *people: int, seconds: float = 10.0) -> None:
    """People who are known to label one mask a task, in so many seconds."""
    project.join(*people)
    for number, person in enumerate(people):
        for turn in range(30):
            task = 1000 + 100 * number + turn
            project.add(task)
            project.edited.submit(task, brush("a"), person=person, lead_time=seconds)
    for person in people:
        project.seen[person] = project.now


def outcomes(project: QueuedProject, task: int) -> list[tuple[str, str | None]]:
    return [(one.person, one.outcome) for one in project.leases.history(task)]


def test_without_people_it_says_what_to_do(project: QueuedProject) -> None:
    with pytest.raises(InvalidInputError, match=f"tasks join --project {PROJECT}"):
        project.balance()


def test_queues_fill_are_worked_through_and_fill_again(project: QueuedProject) -> None:
    quick(project, ANNA, BEN)
    project.add(*range(1, 61))
    told = project.balance()
    queues = project.queues()
    assert sorted(queues[ANNA] + queues[BEN]) == list(range(1, 41)), "200 s of 10 s each"
    assert (told.given, told.labelled, told.tasks) == (40, 60, 120)
    assert [one.expected_minutes for one in told.people] == [pytest.approx(200 / 60)] * 2
    assert project.balance().given == 0
    first = queues[ANNA][0]
    number = project.edited.submit(first, brush("a"), person=ANNA)
    told = project.balance()
    assert (told.ended, told.given) == ({Outcome.DONE: 1}, 1)
    assert first not in project.queues()[ANNA]
    assert project.edited.tasks[first]["data"]["assignee"] == ""
    project.edited.delete(number)
    project.wait(60)
    project.balance()
    assert first not in project.queues()[ANNA] + project.queues()[BEN], "queues are full"
    assert outcomes(project, first) == [(str(ANNA), "done")]


def test_who_came_first_is_served_first_also_in_a_queue_that_fills_again(
    project: QueuedProject,
) -> None:
    quick(project, ANNA)
    project.add(*range(1, 41))
    project.join(ANNA)
    order = []
    while queue := (project.balance(), project.queues().get(ANNA, []))[1]:
        order.append(queue[0])
        project.edited.submit(queue[0], brush("a"), person=ANNA, lead_time=10.0)
    assert order == list(range(1, 41))


def test_a_new_order_reaches_queues_and_what_is_held_for_long_comes_first(
    project: QueuedProject,
) -> None:
    quick(project, ANNA)
    project.add(1, 2, 3)
    project.join(ANNA)
    project.balance()
    orders = TaskOrders(project.database, project.dispatcher._client.host.url, PROJECT)
    orders.replace([TaskOrder(2, 0.9, "rare", {}, project.now)])
    project.balance()
    assert project.queues()[ANNA] == [2, 1, 3]
    assert project.edited.tasks[2]["data"]["sam_reason"] == "rare"
    project.add(4)
    project.wait(5 * 60)
    project.join(ANNA)
    orders.replace([TaskOrder(4, 0.95, "new", {}, project.now)])
    project.balance()
    assert project.queues()[ANNA] == [1, 2, 3, 4]


def test_work_of_an_account_that_is_gone_counts(project: QueuedProject) -> None:
    quick(project, ANNA)
    project.join(BEN)
    project.add(1, 2)
    number = project.edited.submit(1, brush("a"), person=BEN)
    project.edited.annotations[number]["completed_by"] = None
    del project.seen[BEN]
    told = project.balance()
    assert project.queues() == {ANNA: [2]}
    assert [one.is_present for one in told.people] == [True, False]


def test_tabs_are_made_once_mended_and_removed(project: QueuedProject) -> None:
    project.join(ANNA, BEN)
    project.add(1)
    for _ in range(2):
        project.balance()
    assert [view["data"]["title"] for view in project.views.values()] == [
        "Queue of p7@x.example",
        "Queue of p8@x.example",
    ]
    own = project.views[1]["data"]
    assert own["ordering"] == ["-tasks:data.sam_priority"]
    own["ordering"], own["title"], own["columnsWidth"] = [], "mine", {"id": 70}
    project.balance()
    assert project.views[1]["data"]["ordering"] == ["-tasks:data.sam_priority"]
    assert (own["title"], own["columnsWidth"]) == ("mine", {"id": 70})
    mine = {"title": "mine", "filters": {"conjunction": "or", "items": []}}
    mine["filters"]["items"] = [*own["filters"]["items"], {"filter": "filter:tasks:id"}]
    twice = {"id": 9, "data": project.views[2]["data"]}
    project.views |= {8: {"id": 8, "data": mine}, 9: twice}
    project.edited.web.replies["/api/dm/views/9/"] = lambda handler: project._view(9, handler)
    project.annotators.leave(str(ANNA), project.now)
    project.balance()
    assert list(project.views) == [2, 8], "a tab of somebody's own stays"


def test_what_absent_people_hold_goes_back_and_comes_again_when_they_do(
    project: QueuedProject,
) -> None:
    quick(project, ANNA, BEN)
    project.add(*range(1, 100))
    project.balance()
    held = project.queues()[BEN]
    for _ in range(5):  # anna goes on, ben has gone home
        project.wait(60)
        project.seen[ANNA] = project.now
        project.balance()
    assert BEN not in project.queues()
    assert {outcomes(project, task)[0] for task in held} == {(str(BEN), "returned")}
    assert len(project.queues()[ANNA]) == 20, "what anna holds is renewed"
    assert [one.is_present for one in project.balance().people] == [True, False]
    assert len(project.queues()[BEN]) == 1, "one is there for when ben comes"
    project.wait(1)
    project.seen[BEN] = project.now
    told = project.balance()
    assert [one.is_present for one in told.people] == [True, True]
    assert len(project.queues()[BEN]) == 20


def test_nothing_left_to_give_means_that_others_take_over(project: QueuedProject) -> None:
    quick(project, ANNA, BEN)
    project.add(*range(1, 11))
    project.join(ANNA, BEN)  # active after all that
    project.annotators.away(str(BEN), project.now.replace(year=2100))
    project.balance()
    assert (len(project.queues()[ANNA]), BEN in project.queues()) == (10, False)
    project.annotators.back(str(BEN), project.now)
    told = project.balance()
    assert told.moved > 0
    queues = project.queues()
    assert abs(len(queues[ANNA]) - len(queues[BEN])) <= 6, "moving must bring a minute"
    assert sorted(queues[ANNA] + queues[BEN]) == list(range(1, 11))


def test_who_is_said_to_be_back_gets_tasks_before_they_are_seen(project: QueuedProject) -> None:
    project.join(ANNA)
    project.add(1, 2, 3)
    project.balance()
    for hours in (1, 9999):
        project.annotators.away(str(ANNA), project.now + timedelta(hours=hours))
        project.balance()
        assert project.queues() == {}
        project.wait(90)
        if hours == 9999:
            project.annotators.back(str(ANNA), project.now)
        project.balance()
        assert len(project.queues()[ANNA]) == 1


def test_labelling_outside_the_queue_is_seen_once_and_counts(project: QueuedProject) -> None:
    quick(project, ANNA, BEN)
    project.add(*range(1, 61))
    project.balance()
    stolen, free = project.queues()[BEN][1], 60
    project.edited.submit(stolen, brush("a"), person=ANNA)
    project.edited.submit(free, brush("a"), person=ANNA)
    told = project.balance()
    found = {(one.task, one.person, one.kind) for one in told.violations}
    assert found == {(stolen, str(ANNA), "outside"), (free, str(ANNA), "outside")}
    assert stolen not in project.queues()[BEN]
    assert outcomes(project, stolen) == [(str(BEN), "superseded")]
    assert project.balance().violations == ()
    assert len(project.leases.violations()) == 2

    late = project.queues()[BEN][-1]
    project.annotators.away(str(BEN), project.now.replace(year=2100))
    project.balance()
    project.wait(1)
    project.edited.submit(late, brush("a"), person=BEN)
    (violation,) = project.balance().violations
    assert (violation.task, violation.kind) == (late, "late")


def test_overlap_asks_different_people(project: QueuedProject) -> None:
    quick(project, ANNA, BEN, CARL)
    project.add(1, 2, overlap=2)
    project.add(3, overlap=5)
    project.balance()
    everybody = list(project.queues().values())
    assert Counter(task for own in everybody for task in own) == {1: 2, 2: 2, 3: 3}
    assert all(len(set(own)) == len(own) for own in everybody)
    (first, *_) = [person for person in (ANNA, BEN, CARL) if 1 in project.queues()[person]]
    project.edited.submit(1, brush("a"), person=first)
    project.balance()
    assert len([1 for own in project.queues().values() if 1 in own]) == 1


@pytest.mark.parametrize(
    ("skip_queue", "is_done"), [("REQUEUE_FOR_OTHERS", False), ("IGNORE_SKIPPED", True)]
)
def test_a_skipped_task_goes_to_others_if_label_studio_says_so(
    project: QueuedProject, skip_queue: str, is_done: bool
) -> None:
    project.skip_queue = skip_queue
    quick(project, ANNA, BEN)
    project.add(1)
    project.balance()
    (holder,) = project.queues()
    project.edited.submit(1, person=holder, was_cancelled=True)
    told = project.balance()
    other = {ANNA: BEN, BEN: ANNA}[holder]
    assert project.queues().get(other, []) == ([] if is_done else [1])
    assert (told.labelled == told.tasks) == is_done


def test_skills_the_order_and_what_nobody_can_do(project: QueuedProject) -> None:
    quick(project, ANNA)
    project.join(BEN, skills={"x-ray"}, languages={"de"})
    project.add(1, 2, 3)
    project.add(4, skills="x-ray", language="de")
    project.add(5, skills=["x-ray", "ct"])
    host = project.dispatcher._client.host.url
    TaskOrders(project.database, host, PROJECT).replace(
        [TaskOrder(3, 0.9, "rare", {}, project.now), TaskOrder(2, 0.5, "gap", {}, project.now)]
    )
    told = project.balance()
    assert 4 in project.queues()[BEN]
    assert project.queues()[ANNA][0] == 3
    assert project.edited.tasks[3]["data"]["sam_reason"] == "rare"
    assert told.unservable == {Needs(frozenset({"x-ray", "ct"})): 1}


def test_a_task_that_is_gone_leaves_its_queue(project: QueuedProject) -> None:
    quick(project, ANNA)
    project.add(1, 2)
    project.balance()
    project.edited.delete_task(1)
    told = project.balance()
    assert told.ended == {Outcome.SUPERSEDED: 1}
    assert project.queues() == {ANNA: [2]}


def test_whatever_was_written_by_somebody_else_is_brought_in_line(project: QueuedProject) -> None:
    quick(project, ANNA)
    project.add(1, 2, place="field")
    project.balance()
    project.edited.tasks[1]["data"] |= {"assignee": "#99 nobody", "other": 5}
    project.edited.tasks[2]["data"]["assignee"] = ""
    told = project.balance()
    assert (told.written, told.given) == (2, 0)
    assert project.queues() == {ANNA: [1, 2]}
    assert project.edited.tasks[1]["data"]["other"] == 5
    assert project.edited.tasks[1]["data"]["place"] == "field"
    assert project.balance().written == 0


def test_gold_is_known_by_its_file_and_comes_at_its_rate(database: Database) -> None:
    with queued_project(database, replace(SETTINGS, gold_per_hundred=25.0)) as project:
        quick(project, ANNA)
        gold, origin = Gold(project.database), str(project.dispatcher._client.host.origin)
        project.add(*range(1, 40))
        for number in range(40, 50):
            token = f"{number:032x}"
            gold.plan_copy(GoldCopy(token, origin, PROJECT, f"image {number}"))
            project.add(number, image=f"/data/upload/3/0a1b2c3d-{token}.png")
        project.join(ANNA)
        told = project.balance()
        held = project.leases.held()
        assert len(held) == 20
        assert sum(one.is_gold for one in held) == pytest.approx(4, abs=1)
        assert all(one.is_gold == (one.task >= 40) for one in held)
        assert told.people[0].gold == sum(one.is_gold for one in held)
        fields = [set(project.edited.tasks[one.task]["data"]) for one in held]
        assert all(names == fields[0] for names in fields), "nobody can tell which"
