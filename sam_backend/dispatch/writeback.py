"""The fields of tasks that say whose turn it is, brought in line with the leases."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sam_backend.labelstudio.api.predictions import write_task_data
from sam_backend.labelstudio.api.project_tasks import tasks_numbered
from sam_backend.labelstudio.api.queues import (
    ASSIGNEE,
    PRIORITY,
    REASON,
    assignee_text,
    priority_text,
)
from sam_backend.projects.project import Project
from sam_backend.store.leases import Lease, Leases

Json = dict[str, Any]

_AT_ONCE = 10


def write_queues(
    project: Project,
    listing: Sequence[Json],
    names: Mapping[str, str],
) -> int:
    """Write what is not yet as the leases want it; returns how many tasks.

    Args:
        project: The project.
        listing: Its tasks.
        names: What people are called, by user id.

    Raises:
        SamBackendError: Label Studio or the database is out of reach; the next call goes on.
    """
    client, leases = project.client, project.leases
    held = _by_task(leases)
    numbers = [
        int(task["id"])
        for task in listing
        if _changes(task.get("data"), held[int(task["id"])], names)
    ]
    for start in range(0, len(numbers), _AT_ONCE):
        if start:  # writing takes a while, in which others may have decided
            held = _by_task(leases)
        for task in tasks_numbered(client, project.id, numbers[start : start + _AT_ONCE]):
            number, data = int(task["id"]), task["data"]
            write_task_data(client, number, data, _changes(data, held[number], names))
    return len(numbers)


def _by_task(leases: Leases) -> defaultdict[int, list[Lease]]:
    found: defaultdict[int, list[Lease]] = defaultdict(list)
    for one in leases.held():
        found[one.task].append(one)
    return found


def _changes(data: object, leases: Sequence[Lease], names: Mapping[str, str]) -> dict[str, object]:
    """Fields that are not yet as a task's leases want them."""
    if not isinstance(data, Mapping):
        return {}
    if not leases:
        return {ASSIGNEE: ""} if data.get(ASSIGNEE) else {}
    wanted: dict[str, object] = {
        ASSIGNEE: assignee_text([one.person for one in leases], names),
        PRIORITY: priority_text(max(one.priority for one in leases)),
        REASON: leases[0].reason,
    }
    return {name: value for name, value in wanted.items() if data.get(name) != value}
