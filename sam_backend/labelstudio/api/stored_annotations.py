"""The annotations of one task as Label Studio stores them: read, made, changed."""

from collections.abc import Mapping
from typing import Any

from sam_backend.labelstudio.api.client import LabelStudioClient, objects, unless_gone

Json = dict[str, Any]

READING_S = 120.0
"""For the annotations of a task: a hundred brush masks of a large photo are 10 MB of numbers."""


def stored_annotations(client: LabelStudioClient, task_id: int) -> list[Json] | None:
    """GET /api/tasks/<id>/annotations/: those that were skipped too; None: there is no such task.

    Raises:
        LabelStudioError: The call fails, or answers what it should not.
    """
    return _list(client, f"/api/tasks/{task_id}/annotations/")


def stored_drafts(client: LabelStudioClient, task_id: int) -> list[Json] | None:
    """GET /api/tasks/<id>/drafts: what has not been submitted; None: there is no such task.

    Raises:
        LabelStudioError: The call fails, or answers what it should not.
    """
    return _list(client, f"/api/tasks/{task_id}/drafts")


def _list(client: LabelStudioClient, path: str) -> list[Json] | None:
    with unless_gone():
        return objects(client.answer("GET", path, timeout_s=READING_S), f"GET {path}")
    return None


def make_annotation(client: LabelStudioClient, task_id: int, fields: Mapping[str, Any]) -> None:
    """POST /api/tasks/<id>/annotations/: a new annotation of a task.

    Raises:
        LabelStudioError: The call fails.
    """
    path = f"/api/tasks/{task_id}/annotations/"
    client.answer("POST", path, json=dict(fields), timeout_s=READING_S)


def change_annotation(client: LabelStudioClient, number: int, fields: Mapping[str, Any]) -> None:
    """PATCH /api/annotations/<id>/: set some fields of an annotation.

    Raises:
        LabelStudioError: The call fails.
    """
    path = f"/api/annotations/{number}/"
    client.answer("PATCH", path, json=dict(fields), timeout_s=READING_S)
