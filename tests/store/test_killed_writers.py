"""Two servers and a worker on one database are killed again and again: no event lost or doubled."""

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from time import sleep
from typing import Any, Self

import numpy as np

from sam_backend.settings import Settings
from sam_backend.store import manifest_tree
from sam_backend.store.database import Database
from sam_backend.store.revisions import DELETED, SAVED, Revisions
from sam_backend.store.versions import Version, Versions
from sam_backend.versions.reading import READ
from tests.labelstudio.played_project import PROJECT
from tests.store.noting_workers import read_and_commit, tell_events
from tests.versions.edited_project import EditedProject, edited_project
from tests.versions.making import CONFIG, brush, rectangle

# What a server imports takes seconds: children are forked from a process that has done so, and
# inherit nothing else.
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.store.noting_workers", "alembic.command", "psycopg"])

Json = dict[str, Any]
N_TURNS = 12  # with a kill each
EDITS_A_TURN = 15
TOLD_OF = {"id": PROJECT, "title": "Cars", "label_config": CONFIG}


class Stream:
    """Edits of a played project, and the webhooks that tell of them.

    Attributes:
        bodies: The last webhooks, in the order of the edits.
        expected: How many revisions there must be, by subject, number and change.
    """

    def __init__(self, project: EditedProject, rng: np.random.Generator) -> None:
        self.bodies: list[str] = []
        self.expected: Counter[tuple[str, int, str]] = Counter({("project", PROJECT, SAVED): 1})
        self._project, self._rng, self._n_tasks = project, rng, 0

    def go_on(self) -> list[str]:
        """Four new tasks and some edits; the bodies that tell of them."""
        self.bodies = []
        self._tasks(range(self._n_tasks + 1, self._n_tasks + 5))
        for _ in range(EDITS_A_TURN):
            self._edit(self._rng)
        return self.bodies

    def _tasks(self, numbers: range) -> None:
        self._n_tasks = numbers[-1]
        for number in numbers:
            self._project.add(number)
        self._tell("TASKS_CREATED", tasks=[self._project.tasks[number] for number in numbers])
        self.expected.update(("task", number, SAVED) for number in numbers)

    def _edit(self, rng: np.random.Generator) -> None:
        project, dice = self._project, rng.random()
        task = int(rng.choice(list(project.tasks)))
        region = brush("a", left=int(rng.integers(20)))
        if dice < 0.5 or not project.annotations:
            some = [project.submit(task, region, rectangle("b")) for _ in range(rng.integers(1, 4))]
            told = [project.annotations[number] for number in some]
            self._tell("ANNOTATIONS_CREATED", annotations=told, tasks=[project.tasks[task]])
            self.expected.update(("annotation", number, SAVED) for number in some)
            return
        number = int(rng.choice(list(project.annotations)))
        if dice < 0.8:
            project.edit(number, region)
            one = project.annotations[number]
            self._tell("ANNOTATION_UPDATED", annotation=one, task=project.tasks[one["task"]])
            self.expected["annotation", number, SAVED] += 1
        elif dice < 0.95:
            project.delete(number)
            self._tell("ANNOTATIONS_DELETED", annotations=[{"id": number}])
            self.expected["annotation", number, DELETED] += 1
        else:
            project.delete_task(task)
            self._tell("TASKS_DELETED", tasks=[{"id": task}])
            self.expected["task", task, DELETED] += 1

    def _tell(self, action: str, **about: Any) -> None:
        self.bodies.append(json.dumps({"action": action, "project": TOLD_OF} | about))


def shuffled(bodies: list[str], rng: np.random.Generator) -> list[str]:
    """As they come to a server over several connections: each up to seven places off."""
    return [
        bodies[start + place]
        for start in range(0, len(bodies), 8)
        for place in rng.permutation(len(bodies[start : start + 8]))
    ]


class Killed:
    """A process that is killed and started again."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        self._work, self._arguments = work, arguments
        self.n_kills = 0
        self._start()

    def kill(self) -> None:
        """SIGKILL, at whatever it does; one that is done stays so."""
        if self.process.is_alive():
            os.kill(self.process.pid or 0, signal.SIGKILL)
            self.process.join()
            self.n_kills += self.process.exitcode == -signal.SIGKILL
            self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()  # a test that has failed leaves nobody behind

    def end(self) -> None:
        """Waits until it is done, which it must be well."""
        self.process.join()
        assert self.process.exitcode == 0

    def _start(self) -> None:
        self.process = PROCESSES.Process(target=self._work, args=self._arguments)
        self.process.start()


def test_no_event_is_lost_or_doubled(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    rng = np.random.default_rng(20)
    imported = PROCESSES.Process(target=os.getpid)  # else the first kills would meet nobody
    imported.start()
    imported.join()
    with edited_project() as (project, client), ExitStack() as running:
        stream = Stream(project, rng)
        host = client.host.url
        all_told, all_noted = tmp_path / "all-told", tmp_path / "all-noted"
        servers, bodies = [], {name: tmp_path / f"bodies-{name}" for name in "ab"}
        for name in "ab":
            bodies[name].touch()
            files = (str(bodies[name]), str(tmp_path / f"answered-{name}"))
            server = Killed(tell_events, settings, host, *files, str(all_told))
            servers.append(running.enter_context(server))
        worker = running.enter_context(Killed(read_and_commit, settings, host, str(all_noted)))
        everybody = [*servers, worker]

        def tell_more() -> None:
            told = stream.go_on()
            for file in bodies.values():
                with file.open("a") as lines:
                    lines.writelines(f"{body}\n" for body in shuffled(told, rng))

        for turn in range(N_TURNS):
            tell_more()
            sleep(rng.uniform(0.1, 0.5))
            everybody[turn % 3].kill()
        versions = Versions(database, host, PROJECT)
        for _ in range(2):  # nobody is killed any more: it goes on
            before = versions.log(limit=1)
            tell_more()
            while versions.log(limit=1) == before:
                sleep(0.05)
        all_told.touch()
        for server in servers:
            server.end()
        all_noted.touch()
        worker.end()
    assert [one.n_kills for one in everybody] == [N_TURNS // 3] * 3

    history = Revisions(database, host, PROJECT).history()
    noted = Counter(
        (one.subject.value, one.number, one.change) for one in history if one.change != READ
    )
    assert noted == stream.expected
    by_source = Counter(one.source for one in history)
    assert by_source["webhook"] > 0
    assert by_source["reading"] > 0, "all three had something to tell"

    line = versions.log()
    assert [one.parent for one in line] == [one.digest for one in line[1:]] + [""]
    assert len(line) >= 2
    for version in line:
        assert_whole(versions, version)
    states = versions.states(versions.entries(line[0]))
    assert states.keys() == {str(number) for number in project.tasks} | {
        f"{one['task']}/{number}" for number, one in project.annotations.items()
    }
    assert all(
        states[f"{one['task']}/{number}"]["result"] == one["result"]
        for number, one in project.annotations.items()
    )


def assert_whole(versions: Versions, version: Version) -> None:
    """Everything that a version names is there, and is what it says."""
    assert versions.find(version.digest) == version
    entries = versions.entries(version)
    assert manifest_tree.build(entries)[0] == version.tree
    assert len(entries) == version.tasks + version.annotations
    assert versions.states(entries).keys() == entries.keys()
    assert versions.label_config(version) == "<View/>"
