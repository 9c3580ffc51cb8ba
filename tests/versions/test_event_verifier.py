"""What webhooks tell counts once Label Studio's API has told the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sam_backend.labelstudio.api.connections import Connections
from sam_backend.server.protocol import WebhookRequest
from sam_backend.store.revisions import WEBHOOK, Revisions, Subject
from sam_backend.versions.event_verifier import EventVerifier
from tests.labelstudio.played_project import PROJECT, TOKEN
from tests.labelstudio.web import send
from tests.versions.edited_project import EditedProject, edited_project
from tests.versions.making import CONFIG, NOON, Log, brush, rectangle

Json = dict[str, Any]


class Told:
    """A played project with two tasks, its log, and a verifier that is asked by hand."""

    def __init__(self, project: EditedProject, log: Log, folder: Path) -> None:
        self.project, self.log = project, log
        self.failures: list[str] = []
        host = project.web.url
        self.revisions = Revisions(log.database, host, PROJECT)
        self._verifier = EventVerifier(
            log.project.settings,
            log.database,
            Connections(folder / "connections.json", host, TOKEN),
            lambda subject, reason: self.failures.append(reason),
        )
        for task in (1, 2):
            project.add(task)
        self.annotation = project.submit(1, brush("a"))
        self.tell("TASKS_CREATED", tasks=list(project.tasks.values()))
        self.tell("ANNOTATION_CREATED", annotation=project.annotations[self.annotation])

    def tell(self, action: str, **about: Any) -> None:
        """An event, written as the server does."""
        told = {"action": action, "project": {"id": PROJECT, "label_config": CONFIG}} | about
        message = WebhookRequest.model_validate(told)
        self.revisions.add(message.observations(message.event().key), WEBHOOK, NOON)

    def verify(self) -> set[str]:
        """What counts then."""
        self._verifier.verify([PROJECT])
        return self.counting()

    def counting(self) -> set[str]:
        return {f"{one.subject} {one.number}" for one in self.revisions.newest()}


@pytest.fixture
def told(log: Log, tmp_path: Path) -> Iterator[Told]:
    with edited_project() as (project, _):
        yield Told(project, log, tmp_path)


ALL = {"task 1", "task 2", "annotation 101"}


def test_what_is_true_counts(told: Told) -> None:
    assert told.counting() == set()
    assert told.verify() == ALL
    told.project.web.requests.clear()
    assert told.verify() == ALL
    assert told.project.web.requests == [], "nothing is asked twice"
    assert told.failures == []


def test_a_forged_end_ends_nothing(told: Told) -> None:
    told.verify()
    told.tell("TASKS_DELETED", tasks=[{"id": 1}, {"id": 2}])
    told.tell("ANNOTATIONS_DELETED", annotations=[{"id": 101}])
    assert told.counting() == ALL
    assert told.verify() == ALL
    told.project.delete_task(1)
    told.tell("TASKS_DELETED", tasks=[{"id": 1}])  # as before, but true
    assert told.verify() == {"task 2"}


def test_forged_work_counts_for_nobody(told: Told) -> None:
    told.verify()
    real = told.project.annotations[101]
    forged = real | {"result": [rectangle("b")], "updated_at": "2099-01-01T00:00:00Z"}
    told.tell("ANNOTATION_UPDATED", annotation=forged, task=told.project.tasks[1])
    told.tell("ANNOTATION_CREATED", annotation=forged | {"id": 999, "completed_by": 6})
    other = {"id": 2, "data": {"image": "http://elsewhere.example/b.png"}}
    told.tell("TASKS_CREATED", tasks=[other, {"id": 77, "data": {"image": "c"}}])
    assert told.verify() == ALL
    by_name = {f"{one.subject} {one.number}": one for one in told.revisions.newest()}
    assert by_name["annotation 101"].digest == told.revisions.history(annotation=101)[-1].digest
    assert told.revisions.history(task=2)[-1].digest == by_name["task 2"].digest
    assert told.revisions.pending(told.revisions.mark()) == {}


def test_an_author_is_whom_the_api_names(told: Told) -> None:
    number = told.project.submit(2, brush("a"), person=8)
    told.tell(
        "ANNOTATION_CREATED", annotation=told.project.annotations[number] | {"completed_by": 6}
    )
    told.tell("ANNOTATION_CREATED", annotation=told.project.annotations[number] | {"updated_by": 6})
    told.verify()
    (newest,) = [one for one in told.revisions.newest() if one.number == number]
    assert (newest.author, newest.person) == ("8", "8")


def test_what_cannot_be_asked_waits(told: Told) -> None:
    path = "/api/tasks/1/annotations/"
    whole, told.project.web.replies[path] = told.project.web.replies[path], send(401)
    told.verify()
    told.verify()
    assert len(told.failures) == 1, "told once"
    assert "401" in told.failures[0]
    assert Subject.ANNOTATION in told.revisions.pending(told.revisions.mark())[1]
    told.project.web.replies[path] = whole
    assert told.verify() == ALL
