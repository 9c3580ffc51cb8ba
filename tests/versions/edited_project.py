"""A played project that people edit while nobody listens, with the calls of reading and restoring.

It answers as Label Studio 1.23.2 does: saving an annotation stamps its task, deleting one does not.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.regions.region import Region
from tests.labelstudio.played_project import PROJECT, TOKEN, answer
from tests.labelstudio.web import Web, serve
from tests.versions.making import CONFIG, stamp

Json = dict[str, Any]
ADMINISTRATOR = 1
_STEP_MINUTES = 10  # more than a reading looks back


@dataclass
class EditedProject:
    """Its tasks and annotations by number.

    Attributes:
        web: The server; what was asked.
        page_limit: The server's own limit of a page.
        after_page: Called after each page of tasks was answered.
    """

    web: Web
    page_limit: int = 1000
    after_page: Callable[[], None] = lambda: None
    tasks: dict[int, Json] = field(default_factory=dict)
    annotations: dict[int, Json] = field(default_factory=dict)
    minute: int = 0
    _numbers: int = 100

    def add(self, task: int, image: str = "/data/upload/a.png") -> None:
        """A task."""
        self.tasks[task] = {"id": task, "data": {"image": image}, "updated_at": self._now()}
        self.web.replies[f"/api/tasks/{task}/annotations/"] = lambda handler: self._of(
            task, handler
        )

    def submit(self, task: int, *result: Region, person: int = 7, **fields: Any) -> int:
        """Somebody annotates a task; returns the annotation's number."""
        self._numbers += 1
        number, now = self._numbers, self._now()
        self.annotations[number] = {
            "id": number,
            "task": task,
            "result": list(result),
            "completed_by": person,
            "updated_by": person,
            "was_cancelled": False,
            "ground_truth": False,
            "lead_time": 12.5,
            "created_at": now,
            "updated_at": now,
        } | fields
        self.tasks[task]["updated_at"] = now
        path = f"/api/annotations/{number}/"
        self.web.replies[path] = lambda handler: self._change(number, handler)
        return number

    def edit(self, number: int, *result: Region, person: int = 8, **fields: Any) -> None:
        """Somebody changes an annotation."""
        now = self._now()
        told = {"result": list(result), "updated_by": person, "updated_at": now} | fields
        self.annotations[number] |= told
        self.tasks[self.annotations[number]["task"]]["updated_at"] = now

    def delete(self, number: int) -> None:
        """Somebody deletes an annotation."""
        del self.annotations[number], self.web.replies[f"/api/annotations/{number}/"]

    def delete_task(self, task: int) -> None:
        """Somebody deletes a task with its annotations."""
        for number in [n for n, one in self.annotations.items() if one["task"] == task]:
            self.delete(number)
        del self.tasks[task], self.web.replies[f"/api/tasks/{task}/annotations/"]

    def results(self, task: int) -> list[list[Region]]:
        """What the annotations of a task hold."""
        return [one["result"] for one in self.annotations.values() if one["task"] == task]

    def asked_for_annotations(self) -> list[int]:
        """Tasks whose annotations were asked for since the last call."""
        paths = [request.path.split("/") for request in self.web.requests]
        self.web.requests.clear()
        return [int(parts[3]) for parts in paths if parts[4:] == ["annotations", ""]]

    def _now(self) -> str:
        self.minute += _STEP_MINUTES
        return stamp(self.minute)

    def _list(self, handler: BaseHTTPRequestHandler) -> None:
        query = parse_qs(urlsplit(handler.path).query)
        assert (query["fields"], query["resolve_uri"]) == (["task_only"], ["false"])
        wanted = json.loads(query["query"][0])
        if "selectedItems" in wanted:
            some = wanted["selectedItems"]["included"]
            found = [self._told(self.tasks[number]) for number in some if number in self.tasks]
            answer({"tasks": found, "total": len(found)})(handler)
            return
        (item,) = wanted["filters"]["items"]
        assert (item["filter"], item["operator"]) == ("filter:tasks:id", "greater")
        # lists, for a test may edit while a process reads
        found = [self._told(one) for one in list(self.tasks.values()) if one["id"] > item["value"]]
        (order,) = wanted["ordering"]
        column = order.rpartition(":")[2]
        found.sort(key=lambda task: task[column], reverse=order.startswith("-"))
        size = min(int(query["page_size"][0]), self.page_limit)
        answer({"tasks": found[:size], "total": len(found)})(handler)
        self.after_page()

    def _told(self, task: Json) -> Json:
        own = self._own(task["id"])
        skipped = sum(one["was_cancelled"] for one in own)
        counts = {"total_annotations": len(own) - skipped, "cancelled_annotations": skipped}
        return task | counts

    def _project(self, handler: BaseHTTPRequestHandler) -> None:
        answer({"id": PROJECT, "title": "Cars", "label_config": CONFIG})(handler)

    def _of(self, task: int, handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "POST":
            body = json.loads(self.web.requests[-1].body)
            number = self.submit(
                task, *body.pop("result"), person=body.pop("completed_by", ADMINISTRATOR), **body
            )
            answer(self.annotations[number])(handler)
        else:
            answer(self._own(task))(handler)

    def _own(self, task: int) -> list[Json]:
        return [one for one in list(self.annotations.values()) if one["task"] == task]

    def _change(self, number: int, handler: BaseHTTPRequestHandler) -> None:
        assert handler.command == "PATCH"
        body = json.loads(self.web.requests[-1].body)
        self.edit(number, *body.pop("result"), person=ADMINISTRATOR, **body)
        answer(self.annotations[number])(handler)


@contextmanager
def edited_project() -> Iterator[tuple[EditedProject, LabelStudioClient]]:
    """An empty one, with a client."""
    with serve() as web:
        project = EditedProject(web)
        web.replies["/api/tasks/"] = project._list
        web.replies[f"/api/projects/{PROJECT}/"] = project._project
        with LabelStudioClient(LabelStudioHost(web.url, TOKEN)) as client:
            yield project, client
