"""Four people, 200 tasks, queues and versions in the real Label Studio, with kills throughout."""

import heapq
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from sam_backend.cli.process_setup import backend_process
from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.demo.server_process import bare_environment
from sam_backend.labelstudio.api.projects import Projects
from tests.e2e.commands import eventually, inside, settings_of
from tests.e2e.known_skill import CONFIG, draw_picture, region_of
from tests.e2e.people import Person

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]  # people are many, and machines slow

N_TASKS = 200
N_MASKS = 2
SECONDS = {"anna": 10.0, "ben": 20.0, "carl": 30.0, "dora": 60.0}  # a mask
OPTIONS = ("--horizon-minutes", "10", "--absent-minutes", "600", "--lease-minutes", "6000")


class Annotator(Person):
    """Takes what their tab offers, as the page's label stream does."""

    name: str
    done: list[int]
    tab: dict[str, Any] | None = None

    def queue(self, project: int) -> dict[str, Any] | None:
        """The data of their tab."""
        for view in self.call("GET", f"/api/dm/views/?project={project}"):
            if view["data"]["title"].startswith(f"Queue of {self.name}"):
                return view["data"]
        return None

    def next_task(self, project: int) -> int | None:
        """What *Label All Tasks* of the tab opens; None: there is nothing."""
        tab = self.tab = self.tab or self.queue(project)
        if tab is None:
            return None
        body = {
            "filters": tab["filters"],
            "ordering": tab["ordering"],
            "selectedItems": {"all": True, "excluded": []},
        }
        found = self.answer("POST", f"/api/dm/actions?id=next_task&project={project}", body)
        return int(found.json()["id"]) if found.is_success else None

    def label(self, task: int) -> dict[str, Any]:
        """Draws the first things of the picture."""
        things = draw_picture(0)[1][:N_MASKS]
        regions = [region_of(thing, place) for place, thing in enumerate(things)]
        self.done.append(task)
        return self.submit(task, *regions, lead_time=SECONDS[self.name] * N_MASKS)


class Balancer:
    """The daemon, which somebody kills again and again."""

    def __init__(self, folder: Path, project: int, settings: dict[str, str]) -> None:
        self._folder = folder
        self._command = [
            *(sys.executable, "-m", "sam_backend.cli.main", "tasks", "balance"),
            *("--project", str(project), "--every", "3", *OPTIONS),
        ]
        self._environment = bare_environment() | {"SAM_BACKEND_DATA_DIR": str(folder)} | settings
        self._running = self._begin()
        self.kills = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.kill()
        self._running.wait()

    def kill(self) -> None:
        """With SIGKILL; another one begins in its place."""
        assert self._running.poll() is None, (self._folder / "balance.log").read_text()
        self._running.kill()
        self._running.wait()
        self._running = self._begin()
        self.kills += 1

    def _begin(self) -> subprocess.Popen[bytes]:
        with (self._folder / "balance.log").open("ab") as log:
            return subprocess.Popen(
                self._command, env=self._environment, cwd=self._folder, stdout=log, stderr=log
            )


@contextmanager
def two_backends(
    folder: Path, administrator: Person, project: int, settings: dict[str, str]
) -> Iterator[list[Any]]:
    """Two servers on one database; each is told every event."""
    servers = [
        backend_process(folder / name, {"SAM_BACKEND_DATA_DIR": str(folder)} | settings)
        for name in ("one", "two")
    ]
    for server, name in zip(servers, ("one", "two"), strict=True):
        (folder / name).mkdir()
        server.start()
    try:
        for server in servers:
            server.wait_until_healthy()
            hook = {"project": project, "url": f"{server.origin}/webhook", "send_payload": True}
            administrator.call("POST", "/api/webhooks/", hook | {"send_for_all_actions": True})
        yield servers
    finally:
        for server in servers:
            server.stop()


def test_queues_fill_and_rebalance_and_nothing_is_lost_or_done_twice(
    label_studio: LocalLabelStudio,
    projects: Projects,
    tmp_path: Path,
) -> None:
    settings = settings_of(label_studio)
    administrator = Person.administrator(label_studio)
    project = projects.create("queues", CONFIG)
    (first,) = projects.upload(project, {"0.png": draw_picture(0)[0]})
    data = administrator.call("GET", f"/api/tasks/{first}/")["data"]
    copies = [{"data": data} for _ in range(N_TASKS - 1)]
    administrator.call("POST", f"/api/projects/{project}/import", copies)
    eventually(lambda: len(administrator.tasks(project)) == N_TASKS)
    people = {}
    for name in SECONDS:
        people[name] = Annotator.new(label_studio, f"{name}-q@example.com")
        people[name].name, people[name].done = name, []

    def run(*arguments: str) -> str:
        group, what, *rest = arguments
        return inside(tmp_path, group, what, "--project", str(project), *rest, settings=settings)

    run("tasks", "join", *(f"{name}-q@example.com" for name in SECONDS))
    told = json.loads(run("tasks", "balance", *OPTIONS, "--json"))
    assert {one["queue"] for one in told["people"]} == {1}, "34 s a mask, 20 masks: one is plenty"
    with (
        two_backends(tmp_path, administrator, project, settings) as servers,
        Balancer(tmp_path, project, settings) as balancer,
    ):
        strays = work(people, project, balancer, servers[0], run)
        servers[1].stop()  # the last edits come without a webhook
        missing = [task["id"] for task in administrator.tasks(project) if not task["annotations"]]
        assert missing == []

    tasks = administrator.tasks(project)
    by_task = {task["id"]: task["annotations"] for task in tasks}
    twice = {number for number, some in by_task.items() if len(some) > 1}
    assert twice <= strays, "no task twice unless somebody went outside"
    made = {one["id"] for some in by_task.values() for one in some}
    assert len(made) == sum(len(one.done) for one in people.values())
    run("dataset", "commit", "-m", "done")
    edits = json.loads(run("dataset", "log", "--edits", "--json"))
    saves = Counter(one["number"] for one in edits if one["subject"] == "annotation")
    assert saves == dict.fromkeys(made, 1), "each edit once, none lost"
    sources = Counter(one["source"] for one in edits if one["subject"] == "annotation")
    assert sources["webhook"] > N_TASKS / 2

    told = json.loads(run("tasks", "balance", *OPTIONS, "--json"))
    assert (told["labelled"], told["given"]) == (N_TASKS, 0)
    assert all(not task["data"].get("assignee") for task in administrator.tasks(project))
    listed = {
        one["name"][:4].strip("-"): one for one in json.loads(run("tasks", "people", "--json"))
    }
    # a task that looked free may have come into carl's own queue meanwhile
    assert 1 <= listed["carl"]["violations"] <= len(strays) == 2
    assert {name for name, one in listed.items() if one["violations"]} == {"carl"}
    done = {name: len(one.done) for name, one in people.items()}
    assert done["anna"] > done["carl"] > done["dora"], f"by speed, not by head: {done}"
    assert balancer.kills >= 7

    run("dataset", "tag", "all-labelled")
    assert run(
        "dataset", "export", "all-labelled", "--format", "sa1b", "--out", str(tmp_path / "x")
    )
    annotation = by_task[first][0]
    people["anna"].call("PATCH", f"/api/annotations/{annotation['id']}/", {"result": []})
    assert "1 changed back" in run(
        "dataset", "restore", "--version", "all-labelled", "--task", str(first)
    )
    (back, *_) = administrator.call("GET", f"/api/tasks/{first}/annotations/")
    assert back["result"] == annotation["result"]


def work(
    people: dict[str, Annotator], project: int, balancer: Balancer, server: Any, run: Any
) -> set[int]:
    """Everybody labels at their own speed until nothing is left; tasks labelled outside a queue."""
    clock = [(0.0, name) for name in people]
    heapq.heapify(clock)
    n_done, strays, empty = 0, set[int](), 0
    while n_done < N_TASKS + len(strays) and clock:
        now, name = heapq.heappop(clock)
        person = people[name]
        if name == "ben" and len(person.done) == 15:
            leave_with_a_full_queue(person, project, run)
            continue  # for good
        if name == "carl" and len(person.done) in {8, 16} and len(strays) < 2:
            task = not_of(person, project, people["dora"] if not strays else None)
            strays.add(task)
        else:
            task = person.next_task(project)
            if task is None:
                empty += 1
                assert empty < 300, "queues stay empty"
                if not missing(people["anna"], project):
                    break
                time.sleep(0.5)
                heapq.heappush(clock, (now + 1.0, name))
                continue
        person.label(task)
        n_done += 1
        if n_done % 25 == 0:
            balancer.kill()
        if n_done == 60:
            server.stop()
        if n_done == 120:
            server.start()
        heapq.heappush(clock, (now + SECONDS[name] * N_MASKS, name))
    return strays


def missing(person: Person, project: int) -> bool:
    """Whether a task has no annotation yet."""
    found = person.call("GET", f"/api/projects/{project}/")
    return bool(found["num_tasks_with_annotations"] < found["task_number"])


def leave_with_a_full_queue(person: Annotator, project: int, run: Any) -> None:
    """The queue goes to the others with the next balancing."""
    assert person.next_task(project) is not None
    run("tasks", "away", f"{person.name}-q@example.com")
    run("tasks", "balance", *OPTIONS)  # beside the daemon
    eventually(lambda: person.next_task(project) is None, 200, 1.0)


def not_of(person: Annotator, project: int, victim: Annotator | None) -> int:
    """A task without annotations that is in another person's queue, or in nobody's."""
    tasks = person.tasks(project)
    for task in tasks:
        assignee = task["data"].get("assignee") or ""
        is_wanted = not assignee if victim is None else f"#{victim.number} " in assignee
        if is_wanted and not task["annotations"]:
            return int(task["id"])
    raise AssertionError("no such task")
