"""A project's predictions: put in by the hundred, found and removed one by one."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sam_backend.errors import LabelStudioError
from sam_backend.labelstudio.api.client import LabelStudioClient, objects, unless_gone

Json = dict[str, Any]

log = logging.getLogger(__name__)

# Label Studio takes 250 MB a request and handles 500 predictions at a time (CONTRACT, "Bulk").
_MOST_BYTES = 32 * 2**20
_MOST_PREDICTIONS = 500
_WRITING_S = 300.0


def import_predictions(
    client: LabelStudioClient, project_id: int, predictions: Sequence[Mapping[str, Any]]
) -> int:
    """Store predictions in as many calls as their size asks for; returns how many were stored.

    Args:
        client: API client of the project's Label Studio.
        project_id: The project.
        predictions: Each with `task`, `result`, `score` and `model_version`.

    Raises:
        LabelStudioError: A call fails, or Label Studio stores fewer than were sent (it does so
            without an error where a region names an unknown tag).
    """
    stored = 0
    for batch in _batches(predictions):
        answer = client.answer(
            "POST",
            f"/api/projects/{project_id}/import/predictions",
            json=batch,
            timeout_s=_WRITING_S,
        )
        created = answer.get("created") if isinstance(answer, dict) else None
        if created != len(batch):
            raise LabelStudioError(
                f"Label Studio stored {created!r} of {len(batch)} predictions for tasks "
                f"{batch[0].get('task')} to {batch[-1].get('task')}"
            )
        stored += len(batch)
    return stored


def predictions_of(client: LabelStudioClient, task_id: int) -> list[Json]:
    """GET /api/predictions/?task=<id>: all of one task, with their results."""
    path = "/api/predictions/"
    answer = client.answer("GET", path, {"task": str(task_id)}, timeout_s=_WRITING_S)
    return objects(answer, f"GET {path}")


def prediction(client: LabelStudioClient, prediction_id: int) -> Json | None:
    """GET /api/predictions/<id>/: one, with its result items; None if it is gone."""
    path = f"/api/predictions/{prediction_id}/"
    answer = None
    with unless_gone():
        answer = client.answer("GET", path, timeout_s=_WRITING_S)
    if answer is None:
        return None
    if not isinstance(answer, dict) or not isinstance(answer.get("result"), list):
        raise LabelStudioError(f"GET {path} answers no prediction")
    return answer


def delete_prediction(client: LabelStudioClient, prediction_id: int) -> None:
    """DELETE /api/predictions/<id>/; one that is gone already is no error."""
    with unless_gone():
        client.sdk(lambda sdk: sdk.predictions.with_raw_response.delete(prediction_id))


def write_task_data(
    client: LabelStudioClient,
    task_id: int,
    data: Mapping[str, Any],
    fields: Mapping[str, object],
) -> None:
    """PATCH /api/tasks/<id>/: set some fields of a task's data; unchanged ones cost no call.

    Label Studio replaces `data` as a whole, so that what it is now must be known.

    Args:
        client: Client of the task's Label Studio.
        task_id: The task.
        data: As Label Studio has it now, with a storage's own addresses.
        fields: New values by name.
    """
    merged = {**data, **fields}
    if merged != dict(data):
        client.sdk(lambda sdk: sdk.tasks.with_raw_response.update(str(task_id), data=merged))


def show_version(client: LabelStudioClient, project_id: int, model_version: str) -> bool:
    """Make this the project's model version; returns True if it was another one.

    It is the one whose predictions are shown and pre-fill annotations, and whose scores the Data
    Manager filters and uncertainty sampling orders by.
    """
    if client.project(project_id).get("model_version") == model_version:
        return False
    client.change_project(project_id, model_version=model_version)
    return True


def _batches(predictions: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    batch: list[Mapping[str, Any]] = []
    n_bytes = 0
    for prediction in predictions:
        size = len(json.dumps(prediction))
        if batch and (n_bytes + size > _MOST_BYTES or len(batch) == _MOST_PREDICTIONS):
            yield batch
            batch, n_bytes = [], 0
        batch.append(prediction)
        n_bytes += size
    if batch:
        yield batch
