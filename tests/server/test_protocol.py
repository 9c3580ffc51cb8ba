"""Request bodies: what is read, and how a bad one is named without repeating it."""

import json
from pathlib import Path
from typing import Any

import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.api.webhook_events import WebhookEvent
from sam_backend.server.protocol import PredictRequest, SetupRequest, WebhookRequest, parse

SAMPLES = Path(__file__).parents[1] / "data" / "labelstudio"


def test_setup_reads_nulls_as_empty() -> None:
    body = b'{"project": "1.5", "schema": null, "hostname": null, "access_token": null}'
    message = parse(SetupRequest, body)
    assert (message.project, message.label_config, message.hostname) == ("1.5", "", "")


def test_the_token_is_not_in_the_representation() -> None:
    message = parse(SetupRequest, b'{"project": "1.5", "access_token": "s3cret"}')
    assert "s3cret" not in repr(message)


@pytest.mark.parametrize("params", ["", ', "params": null', ', "params": {"context": null}'])
def test_a_batch_has_no_context(params: str) -> None:
    request = parse(PredictRequest, f'{{"tasks": [{{"id": 1}}]{params}}}'.encode())
    assert request.params.context is None
    assert request.tasks == [{"id": 1}]


@pytest.mark.parametrize(
    ("model", "body", "names"),
    [
        (PredictRequest, b"{secret", "body: Invalid JSON"),
        (PredictRequest, b"", "body: Invalid JSON"),
        (PredictRequest, b"[]", "body: "),
        (PredictRequest, b'{"tasks": "secret"}', "tasks: "),
        (PredictRequest, b'{"tasks": ["secret"]}', "tasks.0: "),
        (PredictRequest, b'{"tasks": [], "params": "secret"}', "params: "),
        (SetupRequest, b"{}", "project: "),
        (SetupRequest, b'{"project": ""}', "project: "),
        (WebhookRequest, b'{"action": 3}', "action: "),
    ],
)
def test_bad_bodies_are_named(model: type, body: bytes, names: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        parse(model, body)
    assert str(error.value).startswith(names)
    assert "secret" not in str(error.value)


def _recorded(name: str) -> dict[str, Any]:
    content = json.loads((SAMPLES / f"webhook_{name}.json").read_text())
    return content.get("body", content)


def _event(body: dict[str, Any]) -> WebhookEvent:
    return parse(WebhookRequest, json.dumps(body).encode()).event()


@pytest.mark.parametrize(
    ("name", "project", "annotation_id", "task_id"),
    [
        ("ANNOTATION_CREATED", "14.1795443064", 5, 1023),
        ("ANNOTATION_UPDATED", "14.1795443064", 4, 1023),
        ("TASKS_CREATED", "14.1795443064", None, None),
        ("PROJECT_UPDATED", "10.1795442883", None, None),
        ("START_TRAINING", "2.1795440680", None, None),
    ],
)
def test_recorded_webhooks(
    name: str, project: str, annotation_id: int | None, task_id: int | None
) -> None:
    event = _event(_recorded(name))
    assert (event.action, event.project) == (name, project)
    assert event.project_id == int(project.partition(".")[0])
    assert (event.annotation_id, event.task_id) == (annotation_id, task_id)


def test_an_event_told_twice_has_one_key_whatever_was_counted_between() -> None:
    body = _recorded("ANNOTATION_CREATED")
    again = body | {"project": body["project"] | {"total_annotations_number": 99}}
    assert _event(body).key == _event(again).key


@pytest.mark.parametrize(
    "change",
    [
        {"action": "ANNOTATION_UPDATED"},
        {"annotation": {"id": 6, "updated_at": "2026-11-23T14:11:05.477333Z"}},
        {"annotation": {"id": 5, "updated_at": "2026-11-23T14:11:06.477333Z"}},
        {"project": {"id": 14, "created_at": "2025-01-01T00:00:00Z"}},
    ],
)
def test_another_event_has_another_key(change: dict[str, Any]) -> None:
    body = _recorded("ANNOTATION_CREATED")
    assert _event(body).key != _event(body | change).key


@pytest.mark.parametrize(
    "body",
    [
        _recorded("START_TRAINING"),
        {"action": "ANNOTATION_CREATED"},
        {"action": "ANNOTATION_UPDATED", "annotation": {"id": 5}, "project": {"id": 1}},
    ],
    ids=["a button", "without payload", "an update without its time"],
)
def test_what_nothing_tells_apart_is_never_taken_for_a_repetition(body: dict[str, Any]) -> None:
    assert _event(body).key != _event(body).key


def test_several_annotations_are_one_event_in_any_order() -> None:
    body = {"action": "ANNOTATIONS_DELETED", "project": {"id": 1}}
    first = _event(body | {"annotations": [{"id": 1}, {"id": 2}]})
    assert first.key == _event(body | {"annotations": [{"id": 2}, {"id": 1}]}).key
    assert first.key != _event(body | {"annotations": [{"id": 1}]}).key
    assert first.annotation_id is None


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "action"),
        ({"action": 3}, "action"),
        ({"action": "drop table\n"}, "action"),
        ({"action": "A" * 65}, "action"),
        ({"action": "X", "project": "14"}, "project"),
        ({"action": "X", "project": {}}, "project.id"),
        ({"action": "X", "project": {"id": 10**30}}, "project.id"),
        ({"action": "X", "project": {"id": 1, "created_at": "yesterday"}}, "project.created_at"),
        ({"action": "X", "annotation": 5}, "annotation.0"),
        ({"action": "X", "annotations": [{"id": "s3cret"}]}, "annotations.0.id"),
        ({"action": "X", "task": {"id": 1, "updated_at": [1]}}, "task.0.updated_at"),
    ],
)
def test_a_malformed_webhook_is_refused_by_its_place(body: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        _event(body)
    assert str(caught.value).startswith(f"{place}: ")
    assert "s3cret" not in str(caught.value)
