"""What webhooks tell is in the log of revisions before they are answered, or that is said."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sam_backend.labelstudio.api.connections import Connections
from sam_backend.labelstudio.api.webhook_events import WebhookEvent
from sam_backend.server.app import create_app
from sam_backend.server.journal import Journal
from sam_backend.server.service import Service
from sam_backend.settings import Settings
from sam_backend.store.database import Database, open_database
from sam_backend.store.revisions import Revisions
from tests.postgresql_server import running_postgresql
from tests.server.playing import PROJECT, reasons, running_service, set_up

Json = dict[str, Any]
HOST = "http://label.example"
NUMBER, _, MADE = PROJECT.partition(".")
MADE_AT = datetime.fromtimestamp(int(MADE), UTC).isoformat()
TOLD_OF = {"id": int(NUMBER), "created_at": MADE_AT, "title": "Cars", "label_config": "<View/>"}


def submitted(minute: int = 0, **fields: Any) -> Json:
    """A submitted annotation; another minute is another edit."""
    annotation = {
        "id": 5,
        "task": 9,
        "result": [],
        "completed_by": 7,
        "updated_at": f"2026-01-02T12:{minute:02}:00.000000Z",
    }
    return {
        "action": "ANNOTATION_CREATED",
        "project": TOLD_OF,
        "annotation": annotation | fields,
        "task": {"id": 9, "data": {"image": "a.png"}},
    }


class Noting:
    """A service on a database of the test's, and what it hands on."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self.service = service
        self._client = TestClient(create_app(service, settings))
        service._on_event = self._on_event
        service._database = lambda: self.database
        self.use(None)

    def use(self, database: Database | None) -> None:
        """Another database, and nothing told yet."""
        self.database = database
        self.events: list[tuple[str, int]] = []
        self.service.journal = Journal()
        self._is_away = False

    def tell(self, body: Json, status: int = 200, is_noted: bool = True) -> None:
        """Tells an event; it must be answered so, and "ok" only if it is noted."""
        answer = self._client.post("/webhook", json=body)
        assert answer.status_code == status
        assert (answer.json() == {"status": "ok"}) == is_noted

    def log(self, project: int = int(NUMBER)) -> list[str]:
        """What was noted of a project, oldest first."""
        assert self.database is not None
        history = Revisions(self.database, HOST, project).history()
        return [f"{one.subject} {one.number} {one.change}" for one in reversed(history)]

    def _on_event(self, event: WebhookEvent) -> None:
        noted = 0 if self.database is None or self._is_away else len(self.log())
        self.events.append((event.action, noted))

    def go_away(self) -> None:
        """Its database is not asked by the test itself any more."""
        self._is_away = True


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Noting]:
    """One service for all tests: its model takes seconds to load."""
    folder = tmp_path_factory.mktemp("served")
    with running_service(folder) as service:
        set_up(service, HOST)
        service.wait_until_loaded()
        yield Noting(service, Settings(data_dir=folder))


@pytest.fixture
def noting(served: Noting, tmp_path: Path) -> Iterator[Noting]:
    """On an empty database."""
    database = open_database(Settings(data_dir=tmp_path))
    served.use(database)
    yield served
    database.close()


STATES = ["project 1 saved", "task 9 saved", "annotation 5 saved"]


def test_an_event_is_noted_before_it_is_handed_on_and_answered(noting: Noting) -> None:
    noting.tell(submitted())
    assert noting.events == [("ANNOTATION_CREATED", 3)]
    assert noting.log() == STATES
    assert reasons(noting.service) == []


def test_an_event_told_twice_is_one_revision(noting: Noting) -> None:
    """Two webhooks on one address, or Label Studio trying again."""
    for body in (submitted(), submitted(), submitted(1), submitted(1), submitted()):
        noting.tell(body)
    assert noting.log() == [*STATES, "annotation 5 saved"]
    assert len(noting.events) == 5


def test_two_presses_of_a_button_are_two(noting: Noting) -> None:
    for _ in range(2):
        noting.tell({"action": "START_TRAINING", "project": TOLD_OF})
    assert noting.log() == ["project 1 saved", *["project 1 START_TRAINING"] * 2]


def test_a_deletion(noting: Noting) -> None:
    noting.tell(submitted())
    for _ in range(2):
        deleted = {"action": "ANNOTATIONS_DELETED", "project": TOLD_OF, "annotations": [{"id": 5}]}
        noting.tell(deleted)
    noting.tell(submitted())  # late
    assert noting.log() == [*STATES, "annotation 5 deleted"]


def test_an_event_without_the_projects_making_is_noted_by_its_number(noting: Noting) -> None:
    noting.tell(submitted() | {"project": {"id": 1}})
    assert noting.log() == STATES[1:]


def test_an_event_waits_for_no_proof(
    noting: Noting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few threads answer events, and whoever sends /setup says which server is to be asked."""
    connections, asked = Connections(tmp_path / "connections.json"), list[str]()
    monkeypatch.setattr(noting.service, "_connections", connections)
    monkeypatch.setattr(connections, "settle", asked.append)
    connections.remember("8.17", "http://127.0.0.1:1", "t")
    noting.tell(submitted() | {"project": {"id": 8}})
    noting.tell(submitted() | {"project": {"id": 8, "created_at": "1970-01-01T00:00:17Z"}})
    assert asked == []


@pytest.mark.parametrize("project", [None, {"id": 77}, {"id": 77, "created_at": MADE_AT}])
def test_what_belongs_to_no_known_project_is_answered(noting: Noting, project: Json | None) -> None:
    noting.tell(submitted() | {"project": project}, is_noted=False)
    assert noting.events == [], "anybody can make it up: nothing is kept of it"
    assert noting.log() == noting.log(77) == []
    told = reasons(noting.service)
    assert len(told) == (0 if project is None else 1)
    assert all("is unknown" in reason for reason in told)
    pressed = {"action": "START_TRAINING", "project": project}
    noting.tell(pressed, status=400, is_noted=False)


def test_a_moment_that_no_calendar_has_is_as_good_as_none(noting: Noting) -> None:
    noting.tell(submitted(updated_at="0001-01-01T00:00:00+14:00"))
    assert noting.log() == STATES
    assert noting.service.journal.entries() == []


def test_what_no_database_holds_is_not_noted(noting: Noting) -> None:
    noting.tell(submitted(task=2**70, completed_by=["x" * 99], lead_time=1e300))
    assert noting.log() == STATES
    (annotation,) = Revisions(noting.database, HOST, int(NUMBER)).history(annotation=5)
    assert (annotation.task, annotation.author, annotation.lead_time_s) == (None, None, None)
    noting.tell(submitted() | {"project": {"id": 2**40}}, status=400, is_noted=False)


def test_an_event_that_cannot_be_written_is_not_answered_ok(served: Noting, tmp_path: Path) -> None:
    with running_postgresql() as server:
        database = open_database(Settings(data_dir=tmp_path, database_url=server.new_schema()))
        noting = served
        noting.use(database)
        try:
            noting.tell(submitted())
            assert noting.log() == STATES
            server.stop()
            noting.go_away()
            noting.tell(submitted(1), status=500, is_noted=False)
            (entry,) = noting.service.journal.entries()
            assert (entry.level, entry.subject) == ("error", "/webhook")
            assert entry.reason.startswith("database postgresql://127.0.0.1")
            assert len(noting.events) == 2
            server.start()
            noting.tell(submitted(2))
            assert noting.log() == [*STATES, "annotation 5 saved"]
        finally:
            database.close()


def test_no_database_yet(served: Noting) -> None:
    served.use(None)
    served.tell(submitted(), status=500, is_noted=False)
    assert reasons(served.service) == [
        "the event is not written: the database is not open, see /status"
    ]
    assert served.events == [("ANNOTATION_CREATED", 0)]
