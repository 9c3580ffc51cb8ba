"""What webhooks and the API tell, as states for the log."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sam_backend.store.objects import canonical
from sam_backend.store.revisions import DELETED, SAVED, Observation, Subject
from sam_backend.versions.observations import (
    annotation_observation,
    project_observation,
    webhook_observations,
)
from tests.versions.making import Log, brush, rectangle

Json = dict[str, Any]
CONFIG = "<View/>"
PROJECT = {"id": 3, "title": "Cars", "description": "", "label_config": CONFIG, "task_number": 6}
TASK = {"id": 1, "data": {"image": "a.png"}, "updated_at": "2026-01-02T12:00:01Z", "inner_id": 1}
ANNOTATION: Json = {
    "id": 5,
    "result": [brush("a"), {**brush("a"), "type": "labels"}, rectangle("b")],
    "was_cancelled": False,
    "ground_truth": True,
    "created_at": "2026-01-02T12:00:00.000000Z",
    "updated_at": "2026-01-02T12:00:00.250000Z",
    "lead_time": 20.5,
    "task": 1,
    "project": 3,
    "completed_by": 7,
    "updated_by": 8,
    "parent_prediction": 1164,
    "parent_annotation": None,
    "result_count": 3,
    "unique_id": "26d4faf4",
}
Told = tuple[str, int, str, int | None]  # subject, number, change, task
NAMED: Told = ("project", 3, SAVED, None)

EVENTS: dict[str, tuple[str, Json, list[Told]]] = {
    "submitted": (
        "ANNOTATION_CREATED",
        {"annotations": [ANNOTATION], "tasks": [TASK]},
        [NAMED, ("task", 1, SAVED, 1), ("annotation", 5, SAVED, 1)],
    ),
    "many at once": (
        "ANNOTATIONS_CREATED",
        {"annotations": [ANNOTATION, ANNOTATION | {"id": 6}]},
        [NAMED, ("annotation", 5, SAVED, 1), ("annotation", 6, SAVED, 1)],
    ),
    "deleted, told by number only": (
        "ANNOTATIONS_DELETED",
        {"annotations": [{"id": 5}, {"id": 6, "task": 1}]},
        [NAMED, ("annotation", 5, DELETED, None), ("annotation", 6, DELETED, 1)],
    ),
    "deleted, told with its task, which stays": (
        "ANNOTATIONS_DELETED",
        {"annotations": [{"id": 5}], "tasks": [TASK]},
        [NAMED, ("annotation", 5, DELETED, None)],
    ),
    "tasks came": (
        "TASKS_CREATED",
        {"tasks": [TASK, TASK | {"id": 2}]},
        [NAMED, ("task", 1, SAVED, 1), ("task", 2, SAVED, 2)],
    ),
    "tasks went": (
        "TASKS_DELETED",
        {"tasks": [{"id": 1}, {"id": 2}]},
        [NAMED, ("task", 1, DELETED, 1), ("task", 2, DELETED, 2)],
    ),
    "the project": ("PROJECT_UPDATED", {}, [NAMED]),
    "something that leaves no state": (
        "START_TRAINING",
        {},
        [NAMED, ("project", 3, "START_TRAINING", None)],
    ),
    "without payload": ("ANNOTATION_CREATED", {"project": None}, []),
}


def told_by(action: str, fields: Json) -> list[Observation]:
    event = {"project": PROJECT, "annotations": [], "tasks": []} | fields
    return webhook_observations(
        action, "key", event["project"], event["annotations"], event["tasks"]
    )


@pytest.mark.parametrize("name", EVENTS)
def test_what_an_event_tells(name: str) -> None:
    action, fields, expected = EVENTS[name]
    found = told_by(action, fields)
    assert [(one.subject, one.number, one.change, one.task) for one in found] == expected
    assert [one.event for one in found] == [
        "key" if change not in {SAVED, DELETED} else None for _, _, change, _ in expected
    ]


def test_an_annotations_state_is_what_people_can_change_and_whose_it_is() -> None:
    one = annotation_observation(ANNOTATION)
    assert one.state == {
        "result": ANNOTATION["result"],
        "was_cancelled": False,
        "ground_truth": True,
        "lead_time": 20.5,
        "completed_by": "7",
        "created_at": "2026-01-02T12:00:00.000000Z",
        "parent_prediction": 1164,
        "parent_annotation": None,
    }
    assert one.person == "8", "who saved it last, not who had drawn it"
    assert one.stamp == datetime(2026, 1, 2, 12, 0, 0, 250_000, UTC)
    assert one.regions == 1, "the items of one id are one, and a box is no mask"


@pytest.mark.parametrize(
    ("fields", "person"),
    [
        ({"updated_by": None}, "7"),
        ({"updated_by": None, "completed_by": None}, None),
        ({"completed_by": {"id": 7, "email": "anna@example.com"}}, "8"),
        ({"updated_by": {"id": 9}}, "9"),
    ],
)
def test_who_made_a_change(fields: Json, person: str | None) -> None:
    assert annotation_observation(ANNOTATION | fields).person == person


def test_webhook_and_reading_of_one_state_are_one_revision(log: Log) -> None:
    """The API expands the author, names no task in a list, and has fields of its own."""
    reading = {name: told for name, told in ANNOTATION.items() if name != "task"}
    reading |= {"completed_by": {"id": 7}, "created_ago": "0 minutes", "draft_created_at": None}
    assert log.note(annotation_observation(ANNOTATION)) == 1
    assert log.note(annotation_observation(reading, 1)) == 0
    (revision,) = log.revisions.history()
    assert (revision.task, revision.person, revision.regions) == (1, "8", 1)


def test_counters_of_a_project_are_no_change_of_it(log: Log) -> None:
    assert log.note(project_observation(PROJECT)) == 1
    assert log.note(project_observation(PROJECT | {"task_number": 7, "updated_at": "later"})) == 0
    assert log.note(project_observation(PROJECT | {"label_config": "<View><Image/></View>"})) == 1


@pytest.mark.parametrize("result", [None, "text", [], [None, 3]])
def test_a_result_that_is_none_has_no_regions_and_is_kept_as_it_is(result: Any) -> None:
    one = annotation_observation(ANNOTATION | {"result": result})
    assert one.regions == 0
    assert one.state is not None
    assert one.state["result"] == result


@pytest.mark.parametrize("told", [None, "", "yesterday", 3])
def test_a_stamp_that_is_none_is_unknown(told: Any) -> None:
    assert annotation_observation(ANNOTATION | {"updated_at": told}).stamp is None


def test_the_order_of_fields_changes_no_digest() -> None:
    turned = dict(reversed(ANNOTATION.items()))
    one, other = annotation_observation(ANNOTATION), annotation_observation(turned)
    assert canonical(one.state) == canonical(other.state)
    assert one.subject is Subject.ANNOTATION
