"""Accepted annotations, read from a stand-in that pages, filters and fails as Label Studio does."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sam_backend.errors import LabelStudioError
from sam_backend.labelstudio.api.annotations import (
    HumanMasks,
    annotated_tasks,
    count_annotated_tasks,
    count_human_masks,
)
from sam_backend.labelstudio.api.client import LabelStudioClient
from tests.labelstudio.played_project import (
    PROJECT,
    PlayedProject,
    annotation,
    answer,
    played_project,
)
from tests.labelstudio.web import send

RECORDED = Path(__file__).parents[2] / "data" / "labelstudio" / "annotations_of_a_task.json"


@pytest.fixture
def project() -> Iterator[PlayedProject]:
    with played_project() as playing:
        yield playing


@pytest.fixture
def client(project: PlayedProject) -> Iterator[LabelStudioClient]:
    with LabelStudioClient(project.host) as calls:
        yield calls


def region(region_id: str, kind: str = "brushlabels") -> dict[str, Any]:
    return {"id": region_id, "type": kind, "value": {}}


def at(minute: int) -> datetime:
    return datetime(2026, 11, 23, 14, minute, 5, 477333, UTC)


def numbers(client: LabelStudioClient, **options: Any) -> list[tuple[int, list[int]]]:
    return [
        (task.task_id, [annotation.annotation_id for annotation in task.annotations])
        for task in annotated_tasks(client, PROJECT, **options)
    ]


@pytest.mark.parametrize("page_limit", [1000, 3])
def test_every_task_comes_once_whatever_the_page(
    project: PlayedProject, client: LabelStudioClient, page_limit: int
) -> None:
    project.page_limit = page_limit
    for task in range(1, 21, 2):
        project.add(task, annotation(task))
    assert numbers(client) == [(task, [task]) for task in range(1, 21, 2)]
    assert count_annotated_tasks(client, PROJECT) == 10
    assert len(project.asked_for("/api/tasks/1/")) == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [(1, [1, 2]), (2, [3])]),
        ({"only_gold": True}, [(1, [2])]),
        ({"since": at(1)}, [(1, [2]), (2, [3])]),
        ({"since": at(3)}, []),
        ({"since": at(1), "only_gold": True}, [(1, [2])]),
    ],
)
def test_what_counts(
    project: PlayedProject,
    client: LabelStudioClient,
    options: dict[str, Any],
    expected: list[tuple[int, list[int]]],
) -> None:
    project.add(1, annotation(1), annotation(2, ground_truth=True))
    project.add(2, annotation(3, parent_prediction=7), annotation(4, was_cancelled=True))
    project.add(5)
    assert numbers(client, **options) == expected


def test_label_studio_is_asked_for_what_changed_only(
    project: PlayedProject, client: LabelStudioClient
) -> None:
    list(annotated_tasks(client, PROJECT, since=at(30)))
    (filters,) = project.asked
    assert filters["filter:tasks:total_annotations"]["value"] == 0
    # Three minutes before: an import stamps its tasks before their annotations.
    changed = filters["filter:tasks:updated_at"]
    assert (changed["operator"], changed["value"]) == ("greater", "2026-11-23T14:27:05.477333Z")


@pytest.mark.parametrize(
    ("completed_by", "expected"), [(4, "4"), ({"id": 4, "email": "a@b.c"}, "4"), (None, None)]
)
def test_the_annotator(
    project: PlayedProject,
    client: LabelStudioClient,
    completed_by: object,
    expected: str | None,
) -> None:
    project.add(1, annotation(1, completed_by=completed_by))
    (task,) = annotated_tasks(client, PROJECT)
    assert task.annotations[0].annotator == expected


def test_a_recorded_answer(project: PlayedProject, client: LabelStudioClient) -> None:
    project.add(1)
    project.web.replies["/api/tasks/1/annotations/"] = send(200, RECORDED.read_bytes())
    (task,) = annotated_tasks(client, PROJECT)
    first, second = json.loads(RECORDED.read_bytes())
    assert [one.annotation_id for one in task.annotations] == [first["id"], second["id"]]
    assert [one.annotator for one in task.annotations] == ["1", "2"]
    assert [one.is_gold for one in task.annotations] == [False, True]
    assert task.annotations[1].updated_at.isoformat() == second["updated_at"].replace("Z", "+00:00")
    assert list(task.annotations[0].result) == first["result"]


def test_a_task_deleted_meanwhile_is_passed_over(
    project: PlayedProject, client: LabelStudioClient
) -> None:
    for task in (1, 2):
        project.add(task, annotation(task))
    project.web.replies["/api/tasks/1/annotations/"] = send(404, b"{}")
    assert numbers(client) == [(2, [2])]


@pytest.mark.parametrize(
    ("path", "reply", "message"),
    [
        ("/api/tasks/", send(500, b'{"detail": "database is locked"}'), "database is locked"),
        ("/api/tasks/", answer([]), "not an object"),
        ("/api/tasks/", answer({"results": []}), "no list of tasks"),
        ("/api/tasks/", answer({"tasks": [{"id": "x"}]}), "without number or data"),
        ("/api/tasks/", answer({"tasks": [{"id": 0, "data": {}}]}), "out of order"),
        ("/api/tasks/1/annotations/", send(403, b'{"detail": "no"}'), "answers 403"),
        ("/api/tasks/1/annotations/", send(200, b"<html>"), "no JSON"),
        ("/api/tasks/1/annotations/", answer({"results": 1}), "not a list of objects"),
        ("/api/tasks/1/annotations/", answer([{"id": 1}]), "cannot be read: KeyError"),
        (
            "/api/tasks/1/annotations/",
            answer([annotation(1, updated_at="yesterday")]),
            "cannot be read: ValueError",
        ),
    ],
)
def test_what_is_no_answer_stops_the_reading(
    project: PlayedProject, client: LabelStudioClient, path: str, reply: Any, message: str
) -> None:
    project.add(1, annotation(1))
    project.web.replies[path] = reply
    with pytest.raises(LabelStudioError, match=message):
        numbers(client)


def test_masks_are_counted_as_they_are_now(
    project: PlayedProject, client: LabelStudioClient
) -> None:
    assert count_human_masks(client, PROJECT) == HumanMasks(0, None)
    brush = [region("a"), region("a", "labels"), region("b", "polygonlabels")]
    project.add(1, annotation(5, *brush, region("c", "rectanglelabels")))
    project.add(2, annotation(2, region("d", "bitmask")), annotation(3, region("e", "choices")))
    assert count_human_masks(client, PROJECT) == HumanMasks(3, at(5))
    # A webhook that comes again, or late, changes nothing.
    assert count_human_masks(client, PROJECT) == HumanMasks(3, at(5))
    assert count_human_masks(client, PROJECT, since=at(5)) == HumanMasks(0, at(5))
    project.add(2, annotation(7, region("d", "bitmask")))
    assert count_human_masks(client, PROJECT, since=at(5)) == HumanMasks(1, at(7))
