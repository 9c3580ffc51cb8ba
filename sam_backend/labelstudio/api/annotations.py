"""A project's accepted annotations, read through the API, one task at a time.

What counts is what a person submitted: Label Studio's `/api/tasks/<id>/annotations/` gives neither
drafts nor predictions nor annotations that were skipped (`was_cancelled`). An annotation made from
a prediction (`parent_prediction`) counts like one drawn by hand: a person accepted it.

Tasks come in pages without their annotations, then each task's annotations by a call of their own
(Label Studio 1.23.2). `fields=all` would bring the predictions too, which outweigh everything else
where a model prefills; `/api/tasks/<id>/` asks the backend to predict if a task has none; and
`/api/projects/<id>/export` keeps a copy of each export in Label Studio's folder. So the largest
answer is one task's annotations, however large the project.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sam_backend.datasets.left_out import MAX_NAMES
from sam_backend.errors import LabelStudioError
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.stored_annotations import READING_S, stored_annotations
from sam_backend.labelstudio.regions.drawn_masks import count_objects
from sam_backend.labelstudio.regions.region import Region
from sam_backend.masks.whole_numbers import whole_number

# A task's data is a kilobyte or so; Label Studio's own page holds 100.
_TASKS_A_PAGE = 200

# An import stamps a task before its annotations: 15 s before, where 500 tasks of 60 MB came at once
# to a busy machine (Label Studio takes up to 250 MB).
_IMPORT = timedelta(minutes=3)

_STAMP = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, slots=True, eq=False)
class AcceptedAnnotation:
    """What one person submitted for a task.

    Attributes:
        annotation_id: Label Studio's number.
        annotator: The person's user id; None if the account is gone.
        is_gold: Marked as ground truth.
        updated_at: When it was last saved, by Label Studio's clock, in UTC.
        result: Its result items.
        parent_prediction: Number of the prediction that it was made from; None without.
        lead_time_s: Time that its annotator spent, as the editor measured it; None if unknown.
    """

    annotation_id: int
    annotator: str | None
    is_gold: bool
    updated_at: datetime
    result: tuple[Region, ...]
    parent_prediction: int | None = None
    lead_time_s: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedTask:
    """A task and what counts of its annotations.

    Attributes:
        task_id: Label Studio's number.
        data: Its fields, one of which names the image.
        annotations: In the order they were made.
    """

    task_id: int
    data: Mapping[str, Any]
    annotations: tuple[AcceptedAnnotation, ...]


def annotated_tasks(
    client: LabelStudioClient,
    project_id: int,
    only_gold: bool = False,
    since: datetime | None = None,
) -> Iterator[AnnotatedTask]:
    """The tasks of a project that hold an annotation that counts, by their number.

    A task that is annotated while this runs may be missed; one that is deleted is passed over.

    Args:
        client: API client of the project's Label Studio.
        project_id: The project.
        only_gold: Only annotations marked as ground truth.
        since: Only annotations saved after this moment of Label Studio's clock.

    Raises:
        LabelStudioError: A call fails, or answers what it should not.
    """
    for task in _tasks(client, project_id, since):
        annotations = tuple(
            annotation
            for annotation in accepted_annotations(client, task["id"])
            if (annotation.is_gold or not only_gold)
            and (since is None or annotation.updated_at > since)
        )
        if annotations:
            yield AnnotatedTask(task["id"], task["data"], annotations)


@dataclass(frozen=True, slots=True)
class HumanMasks:
    """How many masks people have submitted, as Label Studio tells now.

    Attributes:
        count: Objects with a shape that gives a mask; a corrected one counts once, as it is now.
        newest: When the latest of their annotations was saved, by Label Studio's clock; None
            without any. Handed in as `since` next time, it makes the count one of new masks.
    """

    count: int
    newest: datetime | None


def count_human_masks(
    client: LabelStudioClient, project_id: int, since: datetime | None = None
) -> HumanMasks:
    """Count the masks that `annotated_tasks` would bring; nothing is decoded or remembered.

    The same question always has the same answer, whichever webhooks came, so it may be asked on
    each of them. The cost is one call for each task annotated since that moment (and up to three
    minutes before it). Label Studio has no cheaper count that holds: its project summary leaves
    out what is created in bulk and counts what was skipped.

    Raises:
        LabelStudioError: A call fails.
    """
    count, newest = 0, since
    for task in annotated_tasks(client, project_id, since=since):
        for annotation in task.annotations:
            count += count_objects(annotation.result)
            if newest is None or annotation.updated_at > newest:
                newest = annotation.updated_at
    return HumanMasks(count, newest)


def count_annotated_tasks(
    client: LabelStudioClient, project_id: int, since: datetime | None = None
) -> int:
    """About how many tasks `annotated_tasks` brings, for a progress bar: one small call."""
    return int(_page(client, project_id, _annotated_after(0, since), 1).get("total", 0))


def _tasks(
    client: LabelStudioClient, project_id: int, since: datetime | None
) -> Iterator[dict[str, Any]]:
    last = 0
    while True:
        # By the last number seen, not by page: the list moves while people work.
        page = _page(client, project_id, _annotated_after(last, since), _TASKS_A_PAGE)
        tasks = page.get("tasks")
        if not isinstance(tasks, list):
            raise LabelStudioError("GET /api/tasks/ answers no list of tasks")
        for task in tasks:
            if not isinstance(task.get("id"), int) or not isinstance(task.get("data"), dict):
                raise LabelStudioError("GET /api/tasks/ answers a task without number or data")
            if task["id"] <= last:
                raise LabelStudioError("GET /api/tasks/ answers tasks out of order")
            last = task["id"]
            yield task
        if not tasks:  # a short page may be a limit of the server's
            return


def _annotated_after(task_id: int, since: datetime | None) -> list[dict[str, object]]:
    above: list[tuple[str, str, object]] = [
        ("id", "Number", task_id),
        ("total_annotations", "Number", 0),
    ]
    if since is not None:
        # Saving an annotation stamps its task right after.
        changed = (since - _IMPORT).astimezone(UTC).strftime(_STAMP)
        above.append(("updated_at", "Datetime", changed))
    return [
        {"filter": f"filter:tasks:{name}", "operator": "greater", "type": kind, "value": value}
        for name, kind, value in above
    ]


def _page(
    client: LabelStudioClient, project_id: int, filters: list[dict[str, object]], size: int
) -> dict[str, Any]:
    query = {"filters": {"conjunction": "and", "items": filters}, "ordering": ["tasks:id"]}
    answer = client.answer(
        "GET",
        "/api/tasks/",
        {
            "project": str(project_id),
            "query": json.dumps(query),
            "fields": "task_only",
            "page_size": str(size),
        },
        timeout_s=READING_S,
    )
    if not isinstance(answer, dict):
        raise LabelStudioError(f"GET /api/tasks/ answers {type(answer).__name__}, not an object")
    return answer


def skipped_tasks(client: LabelStudioClient, project_id: int) -> list[int]:
    """Numbers of tasks that annotators have skipped, the first hundred or so.

    Raises:
        LabelStudioError: The call fails.
    """
    filters: list[dict[str, object]] = [
        {
            "filter": "filter:tasks:cancelled_annotations",
            "operator": "greater",
            "type": "Number",
            "value": 0,
        }
    ]
    tasks = _page(client, project_id, filters, MAX_NAMES).get("tasks")
    return [int(task["id"]) for task in tasks] if isinstance(tasks, list) else []


def accepted_annotations(client: LabelStudioClient, task_id: int) -> Iterator[AcceptedAnnotation]:
    """What people have submitted for one task; nothing for a task that is gone.

    Raises:
        LabelStudioError: The call fails, or answers what it should not.
    """
    for item in stored_annotations(client, task_id) or ():  # deleted since the page was read
        if not item.get("was_cancelled"):
            yield read_annotation(item)


def read_annotation(item: Mapping[str, Any]) -> AcceptedAnnotation:
    """An annotation as Label Studio's API has it.

    Raises:
        LabelStudioError: It cannot be read.
    """
    result = item.get("result")
    try:
        updated_at = datetime.fromisoformat(str(item["updated_at"]))
        return AcceptedAnnotation(
            annotation_id=int(item["id"]),
            annotator=_user_id(item["completed_by"]),
            is_gold=bool(item.get("ground_truth")),
            updated_at=updated_at if updated_at.tzinfo else updated_at.replace(tzinfo=UTC),
            result=tuple(part for part in result if isinstance(part, dict))
            if isinstance(result, list)
            else (),
            parent_prediction=whole_number(item.get("parent_prediction")),
            lead_time_s=None if item.get("lead_time") is None else float(item["lead_time"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LabelStudioError(
            f"annotation {item.get('id')!r} cannot be read: {type(error).__name__}"
        ) from None


def _user_id(completed_by: object) -> str | None:
    # A number, or the person's whole record where Label Studio expands it.
    found = completed_by["id"] if isinstance(completed_by, Mapping) else completed_by
    return None if found is None else str(found)
