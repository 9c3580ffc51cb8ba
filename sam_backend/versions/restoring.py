"""Earlier annotations of a task put back into Label Studio; what is there now stays in the log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.api.stored_annotations import (
    change_annotation,
    make_annotation,
    stored_annotations,
)
from sam_backend.projects.project import Project
from sam_backend.store.revisions import READING, RESTORE, Revision, Subject
from sam_backend.store.versions import Version, Versions
from sam_backend.versions.observations import CONTENT
from sam_backend.versions.reading import read_task

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of the annotations that a task had.

    Attributes:
        changed: Annotations that are as they were again.
        made: Annotations that had been deleted, under new numbers.
        same: Annotations that are as they were anyhow.
        later: Annotations that came later, and stay.
    """

    changed: int
    made: int
    same: int
    later: int


def states_of_version(versions: Versions, version: Version, task: int) -> dict[int, Json]:
    """The annotations that a task had in a version, by number.

    Raises:
        InvalidInputError: The version has no such task.
    """
    entries = versions.entries_of_tasks(version, [task])
    if str(task) not in entries:
        raise InvalidInputError(f"version {version.digest[:12]} has no task {task}")
    own = {key: digest for key, digest in entries.items() if "/" in key}
    return {int(key.partition("/")[2]): one for key, one in versions.states(own).items()}


def states_of_revision(versions: Versions, revision: Revision, task: int) -> dict[int, Json]:
    """The one annotation of a task that a revision is of, by number.

    Raises:
        InvalidInputError: It is of no annotation, of its end, or of another task.
    """
    if revision.subject is not Subject.ANNOTATION or revision.digest is None:
        raise InvalidInputError(f"revision {revision.id} holds no state of an annotation")
    if revision.task != task:
        raise InvalidInputError(f"revision {revision.id} is of task {revision.task}, not of {task}")
    return {revision.number: versions.states({"": revision.digest})[""]}


def restore(project: Project, task: int, wanted: Mapping[int, Json]) -> Restored:
    """Put annotations back; the same call again changes nothing.

    What is there is read into the log first. An annotation that was deleted is made anew, in the
    name of whoever had completed it.

    Args:
        project: The project.
        task: Its number.
        wanted: States by annotation.

    Raises:
        InvalidInputError: The task is gone.
        LabelStudioError: A call fails.
    """
    client = project.client
    read_task(project, task, READING)
    there = stored_annotations(client, task)
    if there is None:
        raise InvalidInputError(f"task {task} is gone: its annotations have nowhere to go")
    present = {int(one["id"]): one for one in there}
    others = [one for number, one in present.items() if number not in wanted]
    changed = made = same = 0
    for number, state in wanted.items():
        content = {name: state.get(name) for name in CONTENT}
        if number in present:
            if _content(present[number]) == content:
                same += 1
            else:
                change_annotation(client, number, content)
                changed += 1
            continue
        twin = next((one for one in others if _content(one) == content), None)
        if twin is not None:  # an earlier call has made it
            others.remove(twin)
            same += 1
        else:
            author = state.get("completed_by")
            who = {} if author is None else {"completed_by": int(author)}
            make_annotation(client, task, content | who)
            made += 1
    read_task(project, task, RESTORE)
    return Restored(changed, made, same, len(others))


def _content(annotation: Mapping[str, Any]) -> Json:
    return {name: annotation.get(name) for name in CONTENT}
