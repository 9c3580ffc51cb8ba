"""What was there before comes back, and what is there now stays in the log."""

from collections.abc import Iterator

import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.store.revisions import DELETED, SAVED, Subject
from sam_backend.store.versions import Version
from sam_backend.versions.reading import read_project
from sam_backend.versions.restoring import (
    Restored,
    restore,
    states_of_revision,
    states_of_version,
)
from tests.versions.edited_project import EditedProject, edited_project
from tests.versions.making import Log, brush

FIRST, SECOND = [brush("a")], [brush("a"), brush("b", 12)]


class Restorer:
    """A project with a version to which it is put back."""

    def __init__(self, project: EditedProject, log: Log) -> None:
        self.project, self.log = project, log
        read_project(log.project)
        self.version: Version = log.commit("as it was")

    def __call__(self, task: int) -> Restored:
        wanted = states_of_version(self.log.versions, self.version, task)
        return restore(self.log.project, task, wanted)

    def sources(self, annotation: int) -> list[tuple[str, str]]:
        """Change and source of all its revisions, oldest first."""
        history = self.log.revisions.history(annotation=annotation)
        return [(one.change, one.source) for one in reversed(history)]


@pytest.fixture
def put_back(log: Log) -> Iterator[Restorer]:
    """Two tasks, the first one with annotations 101 and 102 of two people."""
    with edited_project() as (project, client):
        project.add(1)
        project.add(2)
        project.submit(1, *FIRST, person=7)
        project.submit(1, *SECOND, person=8, ground_truth=True)
        yield Restorer(project, log.of(client.host))


def test_what_was_changed_is_changed_back_once(put_back: Restorer) -> None:
    put_back.project.edit(101, brush("other"))
    assert put_back(1) == Restored(changed=1, made=0, same=1, later=0)
    assert put_back.project.results(1) == [FIRST, SECOND]
    # the edit that nobody had told of is in the log too, before what undid it
    assert put_back.sources(101) == [(SAVED, "reading"), (SAVED, "reading"), (SAVED, "restore")]
    assert put_back.sources(102) == [(SAVED, "reading")]
    seen = len(put_back.log.revisions.history())
    assert put_back(1) == Restored(changed=0, made=0, same=2, later=0)
    assert len(put_back.log.revisions.history()) == seen


def test_what_was_deleted_is_made_anew_once_in_its_authors_name(put_back: Restorer) -> None:
    put_back.project.delete(102)
    assert put_back(1) == Restored(changed=0, made=1, same=1, later=0)
    made = put_back.project.annotations[103]
    assert (made["result"], made["completed_by"], made["ground_truth"]) == (SECOND, 8, True)
    assert made["lead_time"] == 12.5
    assert put_back.sources(102) == [(SAVED, "reading"), (DELETED, "reading")]
    assert put_back.sources(103) == [(SAVED, "restore")]
    assert put_back(1) == Restored(changed=0, made=0, same=2, later=0)
    assert put_back.project.annotations.keys() == {101, 103}


def test_what_came_later_stays(put_back: Restorer) -> None:
    later = put_back.project.submit(1, brush("later"))
    assert put_back(1) == Restored(changed=0, made=0, same=2, later=1)
    assert later in put_back.project.annotations


def test_all_that_can_be_changed_comes_back(put_back: Restorer) -> None:
    put_back.project.edit(101, *FIRST, was_cancelled=True, ground_truth=True, lead_time=99.0)
    assert put_back(1).changed == 1
    one = put_back.project.annotations[101]
    assert (one["was_cancelled"], one["ground_truth"], one["lead_time"]) == (False, False, 12.5)
    assert one["updated_by"] == 1, "whose token restores"


def test_two_alike_that_were_deleted_are_two_again(put_back: Restorer) -> None:
    put_back.project.submit(1, *FIRST, person=9)
    read_project(put_back.log.project)
    put_back.version = put_back.log.commit()
    for number in (101, 103):
        put_back.project.delete(number)
    assert put_back(1).made == 2
    assert put_back(1) == Restored(changed=0, made=0, same=3, later=0)
    assert put_back.project.results(1).count(FIRST) == 2


def test_one_revision_of_one_annotation(put_back: Restorer) -> None:
    put_back.project.edit(101, brush("second"))
    put_back.project.edit(102, brush("other"))
    read_project(put_back.log.project)
    put_back.project.edit(101, brush("third"))
    _, first = put_back.log.revisions.history(annotation=101)
    second = put_back.log.revisions.history(annotation=101)[0]
    for revision, result in ((first, FIRST), (second, [brush("second")])):
        wanted = states_of_revision(put_back.log.versions, revision, 1)
        told = restore(put_back.log.project, 1, wanted)
        assert told == Restored(changed=1, made=0, same=0, later=1)
        assert put_back.project.results(1) == [result, [brush("other")]]


def test_what_cannot_be_restored_is_named(put_back: Restorer) -> None:
    log, project = put_back.log, put_back.project
    with pytest.raises(InvalidInputError, match=r"version [0-9a-f]{12} has no task 9"):
        put_back(9)
    project.delete(101)
    read_project(log.project)
    deleted, saved = log.revisions.history(annotation=101)
    a_task = log.revisions.last_of(Subject.TASK, 1, SAVED)
    assert a_task is not None
    for revision in (deleted, a_task):
        with pytest.raises(InvalidInputError, match=f"revision {revision.id} holds no state"):
            states_of_revision(log.versions, revision, 1)
    with pytest.raises(InvalidInputError, match=f"revision {saved.id} is of task 1, not of 2"):
        states_of_revision(log.versions, saved, 2)
    project.delete_task(1)
    with pytest.raises(InvalidInputError, match="task 1 is gone"):
        put_back(1)
    assert f"{Subject.TASK} 1 {DELETED}" in {
        f"{one.subject} {one.number} {one.change}" for one in log.revisions.history()
    }
