"""A played project with people, tabs and tasks that may be written to."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sam_backend.dispatch.balancing import Dispatcher
from sam_backend.dispatch.report import Balance
from sam_backend.dispatch.types import DispatchSettings
from sam_backend.projects.project import Project
from sam_backend.settings import Settings
from sam_backend.store.annotators import Annotators
from sam_backend.store.database import Database
from sam_backend.store.leases import Leases
from tests.labelstudio.played_project import PROJECT, answer
from tests.versions.edited_project import ADMINISTRATOR, EditedProject, edited_project
from tests.versions.making import NOON, stamp

Json = dict[str, Any]
SETTINGS = DispatchSettings(
    horizon_s=200.0, lease_s=4 * 3600.0, absent_after_s=3600.0, gold_per_hundred=0.0, keep=1
)
"""Twenty masks at 34 s: before anybody has labelled, one task is a queue."""


@dataclass
class QueuedProject:
    """What a team sees, with a clock of its own.

    Attributes:
        edited: Its tasks and annotations.
        database: Of leases.
        dispatcher: Keeps the queues.
        annotators: Who has one.
        leases: Who holds what.
        views: The Data Manager's tabs by number.
        seen: When each account was last active, by user id.
    """

    edited: EditedProject
    database: Database
    dispatcher: Dispatcher
    annotators: Annotators
    leases: Leases
    views: dict[int, Json] = field(default_factory=dict)
    seen: dict[int, datetime] = field(default_factory=dict)
    skip_queue: str = "REQUEUE_FOR_OTHERS"

    @property
    def now(self) -> datetime:
        """By the project's clock."""
        return NOON + timedelta(minutes=self.edited.minute)

    def wait(self, minutes: int) -> None:
        """Time passes."""
        self.edited.minute += minutes

    def add(self, *numbers: int, **fields: Any) -> None:
        """Tasks."""
        for number in numbers:
            self.edited.add(number)
            told = self.edited.tasks[number]
            told["created_at"] = stamp(self.edited.minute)
            told["overlap"] = fields.get("overlap", 1)
            told["data"] |= {k: v for k, v in fields.items() if k != "overlap"}
            path = f"/api/tasks/{number}/"
            self.edited.web.replies[path] = lambda handler, number=number: self._write(
                number, handler
            )

    def join(self, *people: int, **fields: Any) -> None:
        """People with a queue, who are active now."""
        for person in people:
            self.annotators.join(
                str(person), fields.get("skills", ()), fields.get("languages", ()), self.now
            )
            self.seen[person] = self.now

    def balance(self) -> Balance:
        """One balancing."""
        return self.dispatcher.balance()

    def queues(self) -> dict[int, list[int]]:
        """Tasks by person, as their tabs show them."""
        found: dict[int, list[tuple[str, int]]] = {}
        for number, task in self.edited.tasks.items():
            for one in filter(None, task["data"].get("assignee", "").split(", ")):
                person = int(one.split()[0].removeprefix("#"))
                found.setdefault(person, []).append((task["data"]["sam_priority"], number))
        return {
            person: [number for _, number in sorted(some, key=lambda x: (-float(x[0]), x[1]))]
            for person, some in found.items()
        }

    def _users(self, handler: BaseHTTPRequestHandler) -> None:
        told = [
            {"id": person, "email": f"p{person}@x.example", "last_activity": at.isoformat()}
            for person, at in self.seen.items()
        ]
        answer(told)(handler)

    def _views(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "POST":
            body = json.loads(self.edited.web.requests[-1].body)
            number = len(self.views) + 1
            self.views[number] = {"id": number, "data": body["data"]}
            path = f"/api/dm/views/{number}/"
            self.edited.web.replies[path] = lambda handler: self._view(number, handler)
            answer(self.views[number])(handler)
        else:
            answer(list(self.views.values()))(handler)

    def _view(self, number: int, handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "DELETE":
            del self.views[number]
        else:
            self.views[number]["data"] = json.loads(self.edited.web.requests[-1].body)["data"]
        answer({})(handler)

    def _write(self, number: int, handler: BaseHTTPRequestHandler) -> None:
        assert handler.command == "PATCH"
        self.edited.tasks[number]["data"] = json.loads(self.edited.web.requests[-1].body)["data"]
        answer({})(handler)

    def _list(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = json.loads(parse_qs(urlsplit(handler.path).query)["query"][0])
        if "selectedItems" not in wanted:
            self.edited._list(handler)
            return
        tasks = [self.edited.tasks[number] for number in wanted["selectedItems"]["included"]]
        answer({"tasks": tasks, "total": len(tasks)})(handler)

    def _project(self, handler: BaseHTTPRequestHandler) -> None:
        told = {"id": PROJECT, "title": "Cars", "label_config": "<View/>"}
        answer(told | {"skip_queue": self.skip_queue})(handler)


@contextmanager
def queued_project(
    database: Database, settings: DispatchSettings = SETTINGS
) -> Iterator[QueuedProject]:
    """An empty one."""
    with edited_project() as (edited, client):
        clock: list[QueuedProject] = []
        own = Project(Settings(), database, client.host, PROJECT)
        dispatcher = Dispatcher(own, settings, lambda: clock[0].now)
        project = QueuedProject(edited, database, dispatcher, own.annotators, own.leases)
        clock.append(project)
        edited.web.replies["/api/users/"] = project._users
        edited.web.replies["/api/current-user/whoami"] = answer({"id": ADMINISTRATOR})
        edited.web.replies["/api/dm/views/"] = project._views
        edited.web.replies["/api/tasks/"] = project._list
        edited.web.replies[f"/api/projects/{PROJECT}/"] = project._project
        with own:
            yield project
