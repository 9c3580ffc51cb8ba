"""A reading finds whatever happened while no webhook came, and nothing twice."""

from collections.abc import Iterator
from datetime import datetime

import pytest

from sam_backend.errors import LabelStudioError
from sam_backend.store.revisions import DELETED, SAVED, WEBHOOK, Subject
from sam_backend.versions.observations import gone
from sam_backend.versions.reading import Read, read_project, read_task
from tests.labelstudio.web import send
from tests.versions.edited_project import EditedProject, edited_project
from tests.versions.making import NOON, Log, brush, drawn, task


class Reader:
    """Reads a played project into a log."""

    def __init__(self, project: EditedProject, log: Log) -> None:
        self.project, self.log = project, log

    def __call__(self, everything: bool = False) -> Read:
        return read_project(self.log.project, everything)

    def task(self, number: int) -> int:
        return read_task(self.log.project, number)

    @property
    def last(self) -> list[tuple[str, int, str, str | None]]:
        """The revisions of the last reading, without those of the project itself."""
        history = self.log.revisions.history()
        told = [(one.subject.value, one.number, one.change, one.person) for one in history]
        return sorted(one for one in told[: len(told) - self._seen] if one[0] != "project")

    def forget(self) -> None:
        """`last` begins here."""
        self._seen = len(self.log.revisions.history())

    _seen = 0


@pytest.fixture
def read(log: Log) -> Iterator[Reader]:
    """Three tasks, of which two are annotated; read once."""
    with edited_project() as (project, client):
        for number in (1, 2, 3):
            project.add(number)
        assert project.submit(1, brush("a")) == 101
        assert project.submit(2, brush("a"), brush("b", 12)) == 102
        reader = Reader(project, log.of(client.host))
        assert reader() == Read(tasks=3, fetched=2, revisions=6)
        reader.forget()
        project.asked_for_annotations()
        yield reader


def test_a_second_reading_adds_nothing(read: Reader) -> None:
    seen = len(read.log.revisions.history())
    assert read() == Read(tasks=3, fetched=1, revisions=0), "what came last may have come meanwhile"
    assert read(everything=True) == Read(tasks=3, fetched=2, revisions=0)
    assert len(read.log.revisions.history()) == seen


def test_everything_that_happened_while_nobody_listened(read: Reader) -> None:
    project = read.project
    project.edit(101, brush("a", width=5))
    project.delete(102)
    project.add(4)
    project.submit(4, brush("x"), was_cancelled=True)
    project.add(5)
    project.delete_task(3)
    assert read() == Read(tasks=4, fetched=3, revisions=6)
    assert read.last == [
        ("annotation", 101, SAVED, "8"),
        ("annotation", 102, DELETED, None),
        ("annotation", 103, SAVED, "7"),
        ("task", 3, DELETED, None),
        ("task", 4, SAVED, None),
        ("task", 5, SAVED, None),
    ]
    assert read.log.known.keys() == {"1", "1/101", "2", "4", "4/103", "5"}
    assert read().revisions == 0


def test_one_deleted_and_another_one_made_leave_the_count_as_it_was(read: Reader) -> None:
    read.project.delete(101)
    read.project.submit(1, brush("a"))
    read()
    assert read.last == [("annotation", 101, DELETED, None), ("annotation", 103, SAVED, "7")]


def test_only_what_changed_is_asked_for(read: Reader) -> None:
    read.project.edit(101, brush("a", width=5))
    read()
    assert read.project.asked_for_annotations() == [1, 2], "2 came last, and is asked for again"
    read()
    assert read.project.asked_for_annotations() == [1]


def test_what_only_a_webhook_tells_of_is_kept_and_does_not_count(read: Reader) -> None:
    """Of a task that was never listed: it came and went between two readings, or is made up."""
    read.log.revisions.add([drawn(900, brush("a"), task=77)], WEBHOOK, NOON)
    assert "77/900" not in read.log.known
    read()
    assert read.last == [("annotation", 900, SAVED, "7")]
    assert "77/900" not in read.log.known
    (told,) = read.log.revisions.history(annotation=900)
    assert not told.is_confirmed
    assert read.log.revisions.pending(read.log.revisions.mark()) == {}


def test_webhooks_that_come_late_change_nothing(read: Reader) -> None:
    read.project.delete(101)
    read()
    read.log.revisions.add([drawn(101, brush("old")), task(1)], WEBHOOK, NOON)
    read.log.revisions.add([gone(Subject.ANNOTATION, 101, 1)], WEBHOOK, NOON)
    assert read.log.known.keys() == {"1", "2", "2/102", "3"}
    assert [one.change for one in read.log.revisions.history(annotation=101)].count(DELETED) == 1


def test_tasks_that_are_deleted_while_the_list_is_read_hide_no_other(read: Reader) -> None:
    """By page, the third task would move to where the list had been read already."""
    project = read.project
    project.page_limit = 2
    project.edit(102, brush("a"))
    project.add(4)
    project.submit(4, brush("x"))
    pages = []

    def delete_one() -> None:
        pages.append(1)
        if len(pages) == 2:  # the first one tells when the last change was
            project.delete_task(1)

    project.after_page = delete_one
    read()
    project.after_page = lambda: None
    assert ("annotation", 103, SAVED, "7") in read.last
    read()
    assert read.log.known.keys() == {"2", "2/102", "3", "4", "4/103"}


def test_what_changes_while_a_long_list_is_read_is_found_the_next_time(read: Reader) -> None:
    """Task 1 is edited after it was listed, and long before the last change that the list shows."""
    project = read.project
    project.page_limit = 1
    pages = []

    def edit_two() -> None:
        pages.append(1)
        if len(pages) == 2:
            project.edit(101, brush("a", width=3))
        if len(pages) == 3:
            project.submit(3, brush("later"))

    project.after_page = edit_two
    read()
    project.after_page = lambda: None
    read()
    states = read.log.known
    assert states["1/101"]["result"] == [brush("a", width=3)]
    assert states["3/103"]["result"] == [brush("later")]


def test_a_reading_that_fails_half_way_is_done_again(read: Reader) -> None:
    project = read.project
    project.edit(101, brush("a", width=5))
    project.edit(102, brush("a"))
    path = "/api/tasks/2/annotations/"
    whole, project.web.replies[path] = project.web.replies[path], send(503)
    with pytest.raises(LabelStudioError, match="503"):
        read()
    project.web.replies[path] = whole
    assert read().revisions == 2


def test_one_task(read: Reader) -> None:
    read.project.edit(101, brush("a", width=5))
    read.project.edit(102, brush("a"))
    assert read.task(1) == 1
    assert read.last == [("annotation", 101, SAVED, "8")]
    read.project.delete_task(1)
    assert read.task(1) == 1
    assert read.log.known.keys() == {"2", "2/102", "3"}


def test_an_empty_project(log: Log) -> None:
    with edited_project() as (_, client):
        for revisions in (1, 0):
            read = read_project(log.of(client.host).project)
            assert read == Read(tasks=0, fetched=0, revisions=revisions)


def test_a_process_that_reads_again_and_again_asks_only_for_what_has_changed(read: Reader) -> None:
    project, stamps = read.project, dict[int, datetime]()

    def again() -> list[int]:
        project.asked_for_annotations()
        read_project(read.log.project, stamps=stamps)
        return project.asked_for_annotations()

    project.edit(101, brush("a", width=5))
    assert 1 in again()
    assert again() == []
    project.edit(102, brush("a", width=6))
    path = "/api/tasks/2/annotations/"
    whole, project.web.replies[path] = project.web.replies[path], send(503)
    with pytest.raises(LabelStudioError, match="503"):
        again()
    project.web.replies[path] = whole
    assert again() == [2], "what could not be read is not taken as read"
    assert read.log.known["2/102"]["result"] == [brush("a", width=6)]
    project.delete(102)
    assert again() == [2], "a deletion changes the number only"
