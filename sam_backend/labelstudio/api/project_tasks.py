"""Which tasks a project has, and what they say; without their annotations and predictions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sam_backend.errors import InvalidInputError, LabelStudioError
from sam_backend.labelstudio.api.client import LabelStudioClient, unless_gone
from sam_backend.labelstudio.api.timestamps import moment

Json = dict[str, Any]

_NUMBERS_A_PAGE = 1000
_TASKS_A_CALL = 100  # their numbers travel in the address
_READING_S = 120.0
_WRITING_S = 300.0


def read_filter(text: str) -> Json:
    """A Data Manager filter, as its own addresses write it.

    Args:
        text: `{"conjunction": "and", "items": [{"filter": "filter:tasks:id", "operator": "less",
            "type": "Number", "value": 10}]}`, or only the list of items.

    Raises:
        InvalidInputError: It is none.
    """
    try:
        told = json.loads(text)
    except ValueError as error:
        raise InvalidInputError(f"the filter is no JSON: {error}") from None
    if isinstance(told, list):
        told = {"conjunction": "and", "items": told}
    items = told.get("items") if isinstance(told, dict) else None
    if (
        not isinstance(told, dict)
        or not isinstance(items, list)
        or not all(
            isinstance(item, dict) and {"filter", "operator"} <= item.keys() for item in items
        )
    ):
        raise InvalidInputError(
            'a filter is {"conjunction": "and", "items": [{"filter": "filter:tasks:…", '
            f'"operator": …, "type": …, "value": …}}]}}, not {text:.120}'
        )
    return told


def task_numbers(
    client: LabelStudioClient,
    project_id: int,
    view: int | None = None,
    filters: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> list[int]:
    """The numbers of a project's tasks as they are now.

    Args:
        client: API client of the project's Label Studio.
        project_id: The project.
        view: Only those of this Data Manager tab, in its order.
        filters: Only those, instead of a tab's; see `read_filter`.
        limit: At most so many.

    Raises:
        LabelStudioError: A call fails, such as for a tab of another project.
    """
    query: dict[str, str] = {"project": str(project_id), "fields": "task_only"}
    if view is not None:
        query["view"] = str(view)
    else:
        told = {"filters": filters or {"conjunction": "and", "items": []}, "ordering": ["tasks:id"]}
        query["query"] = json.dumps(told)
    numbers: dict[int, None] = {}  # a list that moves while it is read may show a task twice
    page = 1
    while limit is None or len(numbers) < limit:
        try:
            found, total = _page(client, {**query, "page": str(page)}, _NUMBERS_A_PAGE)
        except LabelStudioError as error:
            if view is None or error.status != 404:
                raise
            raise LabelStudioError(
                f"project {project_id} has no Data Manager tab {view}: its number stands in the "
                "page's address, ?tab=<number>",
                error.status,
            ) from None
        numbers.update((int(task["id"]), None) for task in found)
        if page * _NUMBERS_A_PAGE >= total:
            break
        page += 1
    return list(numbers)[:limit]


def tasks_numbered(
    client: LabelStudioClient, project_id: int, numbers: Sequence[int]
) -> Iterator[Json]:
    """Tasks by their numbers, in that order, with `data` and counts; deleted ones are passed over.

    Raises:
        LabelStudioError: A call fails.
    """
    for start in range(0, len(numbers), _TASKS_A_CALL):
        wanted = list(numbers[start : start + _TASKS_A_CALL])
        told = {"selectedItems": {"all": False, "included": wanted}, "ordering": ["tasks:id"]}
        query = {
            "project": str(project_id),
            "fields": "task_only",
            "query": json.dumps(told),
            # a storage's own address: only that can be signed anew
            "resolve_uri": "false",
        }
        found, _ = _page(client, query, len(wanted))
        by_number = {int(task["id"]): task for task in found}
        yield from (by_number[number] for number in wanted if number in by_number)


def data_filter(field: str, value: str) -> Json:
    """A filter for tasks whose data has this text in a field."""
    item = {
        "filter": f"filter:tasks:data.{field}",
        "operator": "equal",
        "type": "String",
        "value": value,
    }
    return {"conjunction": "and", "items": [item]}


def tasks_filtered(
    client: LabelStudioClient, project_id: int, filters: Mapping[str, Any]
) -> Iterator[Json]:
    """All tasks that a filter lets through, with `data` and counts, in the order of their numbers.

    Raises:
        LabelStudioError: A call fails.
    """
    told = {"filters": filters, "ordering": ["tasks:id"]}
    query = {
        "project": str(project_id),
        "fields": "task_only",
        "query": json.dumps(told),
        "resolve_uri": "false",
    }
    page = 1
    while True:
        found, total = _page(client, {**query, "page": str(page)}, _NUMBERS_A_PAGE)
        yield from found
        if page * _NUMBERS_A_PAGE >= total:
            return
        page += 1


def every_task(client: LabelStudioClient, project_id: int) -> Iterator[Json]:
    """All tasks, with `data` and counts, in the order of their numbers.

    By the last number seen, not by page: the list moves when tasks are deleted meanwhile.

    Raises:
        LabelStudioError: A call fails.
    """
    last = 0
    while found := _tasks_by(client, project_id, "tasks:id", last, _NUMBERS_A_PAGE):
        if found[0]["id"] <= last:
            raise LabelStudioError("GET /api/tasks/ answers tasks out of order")
        yield from found
        last = found[-1]["id"]


def last_change(client: LabelStudioClient, project_id: int) -> datetime | None:
    """When a task, or an annotation of it, was changed last, by Label Studio's clock.

    None: There are no tasks.

    Raises:
        LabelStudioError: The call fails.
    """
    found = _tasks_by(client, project_id, "-tasks:updated_at", 0, 1)
    return changed_at(found[0]) if found else None


def changed_at(task: Mapping[str, Any]) -> datetime | None:
    """When a task was changed last, by Label Studio's clock, in UTC; None: it does not tell."""
    return moment(task.get("updated_at"))


def delete_task(client: LabelStudioClient, task_id: int) -> None:
    """DELETE /api/tasks/<id>/; one that is gone already is no error."""
    with unless_gone():
        client.sdk(lambda sdk: sdk.tasks.with_raw_response.delete(str(task_id)))


def import_tasks(
    client: LabelStudioClient, project_id: int, tasks: Sequence[Mapping[str, Any]]
) -> None:
    """POST /api/projects/<id>/import: make tasks with their predictions and annotations.

    Raises:
        LabelStudioError: The call fails, or Label Studio makes fewer than were sent.
    """
    path = f"/api/projects/{project_id}/import"
    answer = client.answer("POST", path, json=tasks, timeout_s=_WRITING_S)
    made = answer if isinstance(answer, dict) else {}
    for kind, count in (
        ("task", len(tasks)),
        ("prediction", sum(len(task.get("predictions", ())) for task in tasks)),
        ("annotation", sum(len(task.get("annotations", ())) for task in tasks)),
    ):
        if made.get(f"{kind}_count") != count:
            raise LabelStudioError(
                f"Label Studio made {made.get(f'{kind}_count')!r} {kind}s of {count}"
            )


def _tasks_by(
    client: LabelStudioClient, project_id: int, order: str, after: int, size: int
) -> list[Json]:
    item = {"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": after}
    told = {"filters": {"conjunction": "and", "items": [item]}, "ordering": [order]}
    query = {
        "project": str(project_id),
        "fields": "task_only",
        "query": json.dumps(told),
        "resolve_uri": "false",
    }
    return _page(client, query, size)[0]


def _page(client: LabelStudioClient, query: Mapping[str, str], size: int) -> tuple[list[Json], int]:
    answer = client.answer(
        "GET", "/api/tasks/", {**query, "page_size": str(size)}, timeout_s=_READING_S
    )
    tasks = answer.get("tasks") if isinstance(answer, dict) else None
    if not isinstance(tasks, list) or not all(
        isinstance(task, dict) and isinstance(task.get("id"), int) for task in tasks
    ):
        raise LabelStudioError("GET /api/tasks/ answers no list of tasks")
    return tasks, int(answer.get("total", len(tasks)))
