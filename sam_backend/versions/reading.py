"""Reconciliation: what Label Studio has now becomes revisions, whatever webhooks tell or do not."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.project_tasks import (
    changed_at,
    every_task,
    last_change,
    tasks_numbered,
)
from sam_backend.labelstudio.api.stored_annotations import stored_annotations
from sam_backend.projects.project import Project
from sam_backend.store.objects import canonical, digest_of
from sam_backend.store.revisions import READING, Observation, Revision, Subject
from sam_backend.versions.observations import (
    annotation_observation,
    gone,
    project_observation,
    task_observation,
)

READ = "read"
"""The revision of a project that says up to which of its tasks' stamps it was read."""

# An import stamps a task before its annotations (`labelstudio.api.annotations`): look back so far.
_IMPORT = timedelta(minutes=3)
_TASKS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Read:
    """What a reading brought.

    Attributes:
        tasks: That the project has.
        fetched: Tasks whose annotations were asked for.
        revisions: New ones.
        project: As Label Studio has it.
    """

    tasks: int
    fetched: int
    revisions: int
    project: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


def read_project(
    project: Project,
    everything: bool = False,
    observe: Callable[[int, int], None] = lambda done, of: None,
    take: Callable[[dict[str, Any]], None] = lambda task: None,
    stamps: MutableMapping[int, datetime] | None = None,
) -> Read:
    """Bring the log up to what Label Studio has.

    Tasks are listed all; the annotations of a task are asked for if it was changed since the last
    reading, has another number of them than the log knows, or is one of which events have told
    something that is not verified. A reading that is killed is simply done again.

    Args:
        project: The project.
        everything: Ask for the annotations of every task that has any.
        observe: Told how many tasks are read, and of how many.
        take: Told each task as it was listed.
        stamps: When each task was changed that an earlier reading of this process has read, which
            is then not read again; brought up to date.

    Raises:
        LabelStudioError: A call fails.
    """
    client, revisions = project.client, project.revisions
    mark = revisions.mark()
    pending = revisions.pending(mark)
    before = revisions.newest()
    known = _annotations_by_task(before)
    states = {one.number: one.digest for one in before if one.subject is Subject.TASK}
    stamps = {} if stamps is None else stamps
    last = revisions.last_of(Subject.PROJECT, project.id, READ)
    since = None if everything or last is None else last.stamp - _IMPORT
    record = client.project(project.id)
    added = revisions.add([project_observation(record)], READING, _now())
    newest = last_change(client, project.id)  # before the list: what changes meanwhile is later
    tasks = list(every_task(client, project.id))
    fetched, told, read = 0, list[Observation](), dict[int, datetime]()
    for done, task in enumerate(tasks, 1):
        number = int(task["id"])
        take(task)
        seen = task_observation(task)
        if states.get(number) != digest_of(canonical(seen.state)):
            told.append(seen)
        is_due = _is_due(task, known[number], since, stamps.get(number))
        if is_due or Subject.ANNOTATION in pending.get(number, ()):
            fetched += 1
            told += _read_task(client, number, known[number])
        stamp = changed_at(task)
        if stamp is not None:
            read[number] = stamp
        if done % _TASKS_AT_ONCE == 0:
            added += revisions.add(told, READING, _now(), mark)
            told.clear()
            stamps.update(read)  # not before: what fails is read again
        observe(done, len(tasks))
    listed = {int(task["id"]) for task in tasks}
    for number in sorted({one.task for one in before if one.task is not None} - listed):
        if stored_annotations(client, number) is None:
            told.append(gone(Subject.TASK, number, number))
    added += revisions.add(told, READING, _now(), mark)
    revisions.refute(pending, mark, _now())
    stamps.update(read)
    if newest is not None:
        read_up_to = Observation(
            Subject.PROJECT, project.id, READ, stamp=newest, event=f"{READ} {newest.isoformat()}"
        )
        revisions.add([read_up_to], READING, _now())
    return Read(len(tasks), fetched, added, record)


def verify_events(project: Project, since: int = 0) -> int:
    """Ask Label Studio about the tasks of which events have told something; returns how many.

    Args:
        project: The project.
        since: Number of a revision up to which all is verified already.

    Raises:
        LabelStudioError: A call fails; what was not asked about stays to be verified.
    """
    client, revisions = project.client, project.revisions
    mark = revisions.mark()
    pending = revisions.pending(mark, since)
    numbers = sorted(pending)
    for start in range(0, len(numbers), _TASKS_AT_ONCE):
        some = numbers[start : start + _TASKS_AT_ONCE]
        before = revisions.newest(some)
        known = _annotations_by_task(before)
        alive = {one.task for one in before}
        # by the project's own list: an event may name a task of another project
        listed = {int(task["id"]): task for task in tasks_numbered(client, project.id, some)}
        told: list[Observation] = []
        for number in some:
            if number in listed:
                told.append(task_observation(listed[number]))
                if Subject.ANNOTATION in pending[number]:
                    told += _read_task(client, number, known[number])
            elif number in alive and stored_annotations(client, number) is None:
                told.append(gone(Subject.TASK, number, number))
        revisions.add(told, READING, _now(), mark)
        revisions.refute(some, mark, _now())
    return len(numbers)


def read_task(project: Project, task_id: int, source: str = READING) -> int:
    """The same for one task, whose data is not looked at; returns how many revisions are new.

    Raises:
        LabelStudioError: A call fails.
    """
    revisions = project.revisions
    mark = revisions.mark()
    known = _annotations_by_task(revisions.newest([task_id]))[task_id]
    return revisions.add(_read_task(project.client, task_id, known), source, _now(), mark)


def _annotations_by_task(revisions: Iterable[Revision]) -> dict[int, set[int]]:
    """Numbers of annotations by their task's."""
    found: dict[int, set[int]] = defaultdict(set)
    for one in revisions:
        if one.subject is Subject.ANNOTATION and one.task is not None:
            found[one.task].add(one.number)
    return found


def _read_task(client: LabelStudioClient, task_id: int, known: set[int]) -> list[Observation]:
    found = stored_annotations(client, task_id)
    if found is None:
        return [gone(Subject.TASK, task_id, task_id)]
    # known before it was asked for: what is missing now was deleted, not made meanwhile
    missing = known - {int(one["id"]) for one in found}
    return [
        *(annotation_observation(one, task_id) for one in found),
        *(gone(Subject.ANNOTATION, number, task_id) for number in sorted(missing)),
    ]


def _is_due(
    task: dict[str, Any], known: set[int], since: datetime | None, read: datetime | None
) -> bool:
    count = int(task.get("total_annotations") or 0) + int(task.get("cancelled_annotations") or 0)
    if not count and not known:
        return False
    stamp = changed_at(task)
    if stamp is None or count != len(known):
        return True
    return stamp != read if read is not None else since is None or stamp > since


def _now() -> datetime:
    return datetime.now(UTC)
