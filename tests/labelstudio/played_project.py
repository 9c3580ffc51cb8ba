"""A project that is played: answers the calls that read annotations as Label Studio 1.23.2 does."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.projects.project import Project
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from tests.labelstudio.web import Web, send, serve

Json = dict[str, Any]
PROJECT = 3
TOKEN = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class PlayedProject:
    """Its tasks, annotations and files; change them while it runs.

    Attributes:
        web: The server; what was asked.
        label_config: XML.
        tasks: By number.
        page_limit: The server's own limit of a page.
        n_cancelled: Annotations that were skipped.
        cancelled: Tasks that they are of.
        asked: Queries for pages of tasks, without the small one for their number.
    """

    web: Web
    label_config: str = '<View><Image name="image" value="$image"/></View>'
    tasks: dict[int, Json] = field(default_factory=dict)
    page_limit: int = 1000
    n_cancelled: int = 0
    cancelled: list[int] = field(default_factory=list)
    asked: list[Json] = field(default_factory=list)

    @property
    def host(self) -> LabelStudioHost:
        return LabelStudioHost(self.web.url, TOKEN)

    @contextmanager
    def opened(self, settings: Settings) -> Iterator[Project]:
        """The project as our code works on it, with a database of these settings."""
        database = open_database(settings)
        with Project(settings, database, self.host, PROJECT) as project:
            yield project
        database.close()

    def add(self, task: int, *annotations: Json, image: str = "/data/upload/a.png") -> None:
        """A task with annotations that count."""
        self.tasks[task] = {"id": task, "data": {"image": image}, "total_annotations": 1}
        self.web.replies[f"/api/tasks/{task}/annotations/"] = answer(list(annotations))

    def asked_for(self, start: str) -> list[str]:
        """Paths that were asked for, of those with this start."""
        paths = [request.path.partition("?")[0] for request in self.web.requests]
        return [path for path in paths if path.startswith(start)]

    def _list(self, handler: BaseHTTPRequestHandler) -> None:
        query = parse_qs(urlsplit(handler.path).query)
        assert query["fields"] == ["task_only"]
        wanted = json.loads(query["query"][0])
        if "selectedItems" in wanted:
            numbers = wanted["selectedItems"]["included"]
            chosen = [self.tasks[number] for number in numbers if number in self.tasks]
            answer({"tasks": chosen, "total": len(chosen)})(handler)
            return
        assert wanted["ordering"] in (["tasks:id"], ["-tasks:updated_at"])
        size = min(int(query["page_size"][0]), self.page_limit)
        filters = {item["filter"]: item for item in wanted["filters"]["items"]}
        if "filter:tasks:cancelled_annotations" in filters:
            answer({"tasks": [{"id": number} for number in self.cancelled]})(handler)
            return
        after = filters["filter:tasks:id"]["value"]
        if size > 1:
            self.asked.append(filters)
        found = [self.tasks[number] for number in sorted(self.tasks) if number > after]
        answer({"tasks": found[:size], "total": len(found)})(handler)

    def _project(self, handler: BaseHTTPRequestHandler) -> None:
        body = {"id": PROJECT, "title": "Cars", "label_config": self.label_config}
        answer(body | {"skipped_annotations_number": self.n_cancelled})(handler)


def answer(body: object):
    """A whole JSON answer."""
    return send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})


def annotation(number: int, *result: Json, **fields: Any) -> Json:
    """An annotation as the API gives it."""
    return {
        "id": number,
        "completed_by": 1,
        "ground_truth": False,
        "was_cancelled": False,
        "updated_at": f"2026-11-23T14:{number:02d}:05.477333Z",
        "parent_prediction": None,
        "result": list(result),
    } | fields


@contextmanager
def played_project() -> Iterator[PlayedProject]:
    """A running server with an empty project."""
    with serve() as web:
        project = PlayedProject(web)
        web.replies["/api/tasks/"] = project._list
        web.replies[f"/api/projects/{PROJECT}/"] = project._project
        yield project
