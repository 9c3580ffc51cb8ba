"""Label Studio's annotations, tasks and projects as states for the log of revisions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sam_backend.labelstudio.api.queues import QUEUE_FIELDS
from sam_backend.labelstudio.api.timestamps import moment
from sam_backend.labelstudio.regions.drawn_masks import count_objects
from sam_backend.store.revisions import DELETED, SAVED, Observation, Subject

Json = Mapping[str, Any]

CONTENT = ("result", "was_cancelled", "ground_truth", "lead_time")
"""What a person can change of an annotation, and a restored one gets back."""
_ANNOTATION = (
    *CONTENT,
    "completed_by",
    "created_at",
    "parent_prediction",
    "parent_annotation",
)
_MAX_NUMBER = 2**63 - 1
_LONGEST_S = 1e9  # thirty years
_PROJECT = ("title", "description", "label_config")


def annotation_observation(annotation: Json, task: int | None = None) -> Observation:
    """An annotation as a webhook or the API tells it; `task` where it does not name its own."""
    state = {name: annotation.get(name) for name in _ANNOTATION}
    state["completed_by"] = _person(annotation.get("completed_by"))
    result = annotation.get("result")
    items = [item for item in result if isinstance(item, dict)] if isinstance(result, list) else []
    own = _number(annotation.get("task"))
    return Observation(
        Subject.ANNOTATION,
        int(annotation["id"]),
        SAVED,
        state,
        task if own is None else own,
        _person(annotation.get("updated_by")) or state["completed_by"],
        moment(annotation.get("updated_at")),
        count_objects(items),
        state["completed_by"],
        moment(annotation.get("created_at")),
        _seconds(annotation.get("lead_time")),
        bool(annotation.get("was_cancelled")),
    )


def task_observation(task: Json) -> Observation:
    """A task's data, without what only says whose turn it is."""
    number, data = int(task["id"]), task.get("data")
    if isinstance(data, Mapping):
        data = {name: value for name, value in data.items() if name not in QUEUE_FIELDS}
    return Observation(Subject.TASK, number, SAVED, {"data": data}, number)


def project_observation(project: Json) -> Observation:
    """A project's title and label config."""
    state = {name: project.get(name) for name in _PROJECT}
    return Observation(Subject.PROJECT, int(project["id"]), SAVED, state)


def gone(subject: Subject, number: int, task: int | None) -> Observation:
    """Something that is not there any more."""
    return Observation(subject, number, DELETED, task=task)


def webhook_observations(
    action: str,
    key: str,
    project: Json | None,
    annotations: Sequence[Json],
    tasks: Sequence[Json],
) -> list[Observation]:
    """What one event tells.

    Args:
        action: Label Studio's name of it.
        key: Equal for the same event told twice.
        project: Its project; None if it names none.
        annotations: That it is about.
        tasks: That it is about, or that its annotations are of.
    """
    told: list[Observation] = []
    if project is not None and "label_config" in project:
        told.append(project_observation(project))
    if action.endswith("_DELETED"):
        told += _gone(Subject.TASK, () if annotations else tasks)
        return told + _gone(Subject.ANNOTATION, annotations)
    told += [task_observation(task) for task in tasks if "data" in task]
    told += [annotation_observation(one) for one in annotations if "result" in one]
    is_told = len(told) > (project is not None and "label_config" in project)
    if not is_told and project is not None and not action.startswith("PROJECT_"):
        told.append(Observation(Subject.PROJECT, int(project["id"]), action, event=key))
    return told


def _gone(subject: Subject, things: Iterable[Json]) -> list[Observation]:
    found = []
    for thing in things:
        number = int(thing["id"])
        task = number if subject is Subject.TASK else _number(thing.get("task"))
        found.append(gone(subject, number, task))
    return found


def _number(told: object) -> int | None:
    """A number as a database can hold it; None for anything else."""
    is_one = isinstance(told, int) and not isinstance(told, bool) and 0 <= told <= _MAX_NUMBER
    return told if is_one else None  # type: ignore[return-value]


def _person(told: object) -> str | None:
    """A number, or the person's whole record where Label Studio expands it; None for no person."""
    found = _number(told.get("id") if isinstance(told, Mapping) else told)
    return None if found is None else str(found)


def _seconds(told: object) -> float | None:
    is_time = isinstance(told, int | float) and 0 < told <= _LONGEST_S
    return float(told) if is_time else None  # type: ignore[arg-type]
