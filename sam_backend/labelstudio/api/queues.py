"""Queues of people: a saved Data Manager tab for each, over fields of the tasks' data.

The open-source Label Studio has no assignment, and filters on a task's `meta` fail, so whose turn
it is stands in the task's data.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from sam_backend.labelstudio.api.client import LabelStudioClient, objects, unless_gone

Json = dict[str, Any]

ASSIGNEE, PRIORITY, REASON = "assignee", "sam_priority", "sam_reason"
QUEUE_FIELDS = (ASSIGNEE, PRIORITY, REASON)
"""Fields of a task's data that say whose turn it is; they are no part of the data set."""

_HIDDEN = [
    *(f"tasks:{name}" for name in ("inner_id", "cancelled_annotations", "completed_at")),
    *(f"tasks:annotations_{name}" for name in ("results", "ids")),
    *(f"tasks:predictions_{name}" for name in ("score", "results", "model_versions")),
    *(f"tasks:{name}" for name in ("file_upload", "storage_filename", "draft_exists")),
    *(f"tasks:{name}" for name in ("created_at", "updated_at", "updated_by", "avg_lead_time")),
    *(f"tasks:{name}" for name in ("annotators", "comment_count", "comment_authors")),
    *(f"tasks:{name}" for name in ("unresolved_comment_count", "last_comment_updated_at")),
    f"tasks:data.{ASSIGNEE}",
]
"""Of a new tab: columns that tell an annotator nothing, so that the picture and the reason show."""


def assignee_text(people: Iterable[str], names: Mapping[str, str]) -> str:
    """The people of a task as its field tells them: "#7 anna@example.com, #12 ben@example.com"."""
    return ", ".join(f"{_mark(person)}{names.get(person, '?')}" for person in people)


def priority_text(priority: float) -> str:
    """A priority of 0 to 1 so that text sorts as numbers do."""
    return f"{min(max(priority, 0.0), 1.0):.9f}"


def keep_tabs(
    client: LabelStudioClient, project_id: int, people: Mapping[str, str], gone: Iterable[str] = ()
) -> None:
    """See that everybody's queue has its tab, most urgent first.

    What people have changed of columns and widths stays.

    Args:
        client: API client of the project's Label Studio.
        project_id: The project.
        people: Names of those with a queue, by user id.
        gone: User ids of those who have none any more.

    Raises:
        LabelStudioError: A call fails.
    """
    views = _views(client, project_id)
    for person, name in people.items():
        wanted = {"filters": _filter(person), "ordering": [f"-tasks:data.{PRIORITY}"]}
        own = [view for view in views if _is_of(view, person)]
        for view in own[1:]:  # two balancings began at once
            _delete(client, project_id, view)
        if not own:
            data = {"title": f"Queue of {name}", "type": "list", "target": "tasks", **wanted}
            data["hiddenColumns"] = {"explore": _HIDDEN, "labeling": _HIDDEN}
            client.sdk(partial(_create, project_id, data))
        elif {key: own[0]["data"].get(key) for key in wanted} != wanted:
            client.sdk(partial(_update, project_id, own[0]["id"], {**own[0]["data"], **wanted}))
    for view in views:
        if any(_is_of(view, person) for person in gone):
            _delete(client, project_id, view)


def _mark(person: str) -> str:
    """What no other person's mark contains: "#7 " is not in "#17 "."""
    return f"#{person} "


def _filter(person: str) -> Json:
    item = {
        "filter": f"filter:tasks:data.{ASSIGNEE}",
        "operator": "contains",
        "type": "String",
        "value": _mark(person),
    }
    return {"conjunction": "and", "items": [item]}


def _is_of(view: Mapping[str, Any], person: str) -> bool:
    data = view.get("data")
    filters = data.get("filters") if isinstance(data, Mapping) else None
    items = (filters or {}).get("items") or []
    own = _filter(person)["items"][0]
    # a tab of somebody's own with this filter and others is not ours
    return [{key: item.get(key) for key in own} for item in items] == [own]


def _create(project_id: int, data: Json, sdk: Any) -> Any:
    return sdk.views.with_raw_response.create(project=project_id, data=data)


def _update(project_id: int, view_id: int, data: Json, sdk: Any) -> Any:
    return sdk.views.with_raw_response.update(view_id, project=project_id, data=data)


def _delete(client: LabelStudioClient, project_id: int, view: Mapping[str, Any]) -> None:
    # Label Studio finds a tab by its project too
    options = {"additional_query_parameters": {"project": project_id}}
    with unless_gone():
        client.sdk(
            lambda sdk: sdk.views.with_raw_response.delete(view["id"], request_options=options)
        )


def _views(client: LabelStudioClient, project_id: int) -> list[Json]:
    answer = client.sdk(lambda sdk: sdk.views.with_raw_response.list(project=project_id))
    return objects(answer, "GET /api/dm/views/")
