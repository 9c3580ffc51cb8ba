"""Versions of a large data set: time and storage of commits, with the diff between two.

    python -m benchmarks.dataset_versions [--regions 1000000]

The baseline is what a plain copy costs: all states of a version as one compressed JSON file.
"""

import argparse
import json
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np

from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.projects.project import Project
from sam_backend.projects.true_sizes import addresses_key
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.revisions import Observation, Revisions
from sam_backend.store.versions import Circumstances, Version, Versions
from sam_backend.versions.changes import differences
from sam_backend.versions.observations import annotation_observation, task_observation

REGIONS_A_TASK = 20
TASKS_AT_ONCE = 500
CHANGED = 0.01
SIZE = (480, 640)
CONFIG = '<View><Image name="image" value="$image"/></View>'
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)

T = TypeVar("T")


def annotation(task: int, turn: int) -> dict[str, object]:
    """A task's annotation: polygons of twelve corners; another turn reshapes the first."""
    rng = np.random.default_rng(task)
    result = []
    for number in range(REGIONS_A_TASK):
        points = np.round(rng.uniform(0, 100, (12, 2)) * (1 - 0.1 * turn * (number == 0)), 3)
        result.append(
            {
                "id": f"{task}-{number}",
                "from_name": "shape",
                "to_name": "image",
                "type": "polygonlabels",
                "original_width": SIZE[1],
                "original_height": SIZE[0],
                "image_rotation": 0,
                "value": {"points": points.tolist(), "closed": True, "polygonlabels": ["Thing"]},
            }
        )
    return {
        "id": task,
        "task": task,
        "result": result,
        "completed_by": 1 + task % 50,
        "created_at": NOON.isoformat(),
        "updated_at": (NOON + timedelta(hours=turn)).isoformat(),
    }


def observations(tasks: range, turn: int) -> Iterator[list[Observation]]:
    """What webhooks would tell of these tasks, in parts."""
    for start in range(0, len(tasks), TASKS_AT_ONCE):
        some = tasks[start : start + TASKS_AT_ONCE]
        told = [task_observation({"id": n, "data": {"image": f"/data/{n}.jpg"}}) for n in some]
        yield [*told, *(annotation_observation(annotation(n, turn)) for n in some)]


def timed(what: str, work: Callable[[], T]) -> T:
    """The result, with a line that says how long it took."""
    start = time.perf_counter()
    found = work()
    print(f"| {what} | {time.perf_counter() - start:.2f} s |", flush=True)
    return found


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--regions", type=int, default=1_000_000)
    n_tasks = parser.parse_args().regions // REGIONS_A_TASK
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        database = open_database(settings)
        own = (database, "http://label.example", 1)
        revisions, versions = Revisions(*own), Versions(*own)

        def stored() -> int:
            with database.reading() as connection:
                told = connection.exec_driver_sql("SELECT sum(length(body)) FROM objects")
                return int(told.scalar() or 0)

        def note(tasks: range, turn: int) -> str:
            spent = 0.0  # without the making of them
            for some in observations(tasks, turn):
                start = time.perf_counter()
                revisions.add(some, "reading", NOON + timedelta(hours=turn))
                spent += time.perf_counter() - start
            return f"{spent:.2f} s"

        def commit(message: str) -> Version | None:
            before = stored()
            told = Circumstances(message, CONFIG)
            version = timed(f"commit: {message}", lambda: versions.commit(told, NOON))
            print(f"| stored by it | {(stored() - before) / 1024:.0f} KiB |")
            return version

        print(f"| {n_tasks * REGIONS_A_TASK:,} regions in {n_tasks:,} annotations | |\n|---|---|")
        print(f"| noting all | {note(range(1, n_tasks + 1), 0)} |", flush=True)
        print(f"| stored | {stored() / 2**20:.0f} MiB |")
        first = commit("all of it")
        commit("nothing new")
        changed = max(1, int(CHANGED * n_tasks))
        print(f"| noting {changed} changes | {note(range(1, changed + 1), 1)} |", flush=True)
        second = commit(f"{changed} regions changed")
        if first is None or second is None:
            raise RuntimeError("a commit of new data made no version")
        project = Project(settings, database, LabelStudioHost(own[1], "0" * 40), own[2])
        record = project.task_features
        for number in range(1, changed + 1):  # as `tasks order` would have
            key = addresses_key({"image": f"/data/{number}.jpg"})
            record.put_sizes(number, key, {"image": SIZE}, NOON)
        told = timed("diff of both, with IoU", lambda: differences(project, first, second))
        if told.counts != {"added": 0, "removed": 0, "relabelled": 0, "changed": changed}:
            raise RuntimeError(f"the diff tells {told.counts}")
        entries = versions.entries(second)

        def copy() -> int:
            body = json.dumps(versions.states(entries)).encode()
            return len(zlib.compress(body, 1))

        size = timed("baseline: one copy of all", copy)
        print(f"| stored by it | {size / 1024:.0f} KiB |")


if __name__ == "__main__":
    main()
