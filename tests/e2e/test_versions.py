"""Versions of annotations in the real Label Studio, with servers that are killed meanwhile."""

import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from pycocotools.coco import COCO

from sam_backend.cli.process_setup import backend_process
from sam_backend.datasets.reading import read_dataset
from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.api.project_tasks import changed_at, every_task, last_change
from sam_backend.labelstudio.api.projects import Projects
from tests.e2e.commands import command_inside, eventually, inside, settings_of
from tests.e2e.known_skill import CONFIG, draw_picture, region_of
from tests.e2e.people import Person

pytestmark = pytest.mark.e2e

N_TASKS = 8


def test_every_edit_is_kept_and_can_be_taken_back(
    label_studio: LocalLabelStudio,
    projects: Projects,
    tmp_path: Path,
    browser: Browser,
    artifacts: Path,
) -> None:
    settings = settings_of(label_studio)
    project = projects.create("versions", CONFIG)
    projects.upload(project, {f"{i}.png": draw_picture(i)[0] for i in range(N_TASKS)})
    administrator = Person.administrator(label_studio)
    anna, ben = (Person.new(label_studio, f"{who}-v@example.com") for who in ("anna", "ben"))
    own = ("--project", str(project))

    def run(*arguments: str) -> str:
        return inside(tmp_path, "dataset", *arguments, *own, settings=settings)

    environment = {"SAM_BACKEND_DATA_DIR": str(tmp_path)} | settings
    servers = [backend_process(tmp_path, environment) for _ in range(2)]
    try:
        for server in servers:  # both load at once
            server.start()
        for server in servers:
            server.wait_until_healthy()
        for server in servers:  # each event comes to both
            hook = {"project": project, "url": f"{server.origin}/webhook", "send_payload": True}
            administrator.call("POST", "/api/webhooks/", hook | {"send_for_all_actions": True})
        tasks = administrator.tasks(project)
        made = {}
        for task in tasks:
            things = draw_picture(_number(task))[1]
            regions = [region_of(thing, place) for place, thing in enumerate(things)]
            made[task["id"]] = anna.submit(task["id"], *regions, lead_time=30.0)
        first = json.loads(run("commit", "-m", "by hand", "--stage", "1", "--json"))["version"]
        assert (first["tasks"], first["annotations"]) == (N_TASKS, N_TASKS)
        assert first["regions"] == 7 * N_TASKS
        assert (first["stage"], first["parent"]) == ("1", "")
        sources = Counter(one["source"] for one in _edits(run))
        assert sources["webhook"] >= N_TASKS  # told at once, by one of the two
        assert run("commit", "-m", "again") == "nothing has changed since the last version\n"
        assert run("tag", "v1") == f"v1 is {first['digest'][:12]}\n"

        os.kill(servers[0].pid or 0, signal.SIGKILL)
        one, two, three, four = (task["id"] for task in tasks[:4])
        relabelled, smaller, fewer = (list(made[number]["result"]) for number in (one, two, three))
        value = dict(relabelled[0]["value"])
        value["polygonlabels"] = ["Fruit" if value["polygonlabels"] == ["Leaf"] else "Leaf"]
        relabelled[0] = {**relabelled[0], "value": value}
        smaller[3] = _shrunk(smaller[3])
        ben.call("PATCH", f"/api/annotations/{made[one]['id']}/", {"result": relabelled})
        ben.call("PATCH", f"/api/annotations/{made[two]['id']}/", {"result": smaller})
        os.kill(servers[1].pid or 0, signal.SIGKILL)  # now nobody listens
        ben.call("PATCH", f"/api/annotations/{made[three]['id']}/", {"result": fewer[1:]})
        ben.call("DELETE", f"/api/annotations/{made[four]['id']}/")
        extra = ben.submit(tasks[4]["id"], region_of(draw_picture(77)[1][0], 50))
    finally:
        for server in servers:
            server.stop()
    with LabelStudioClient(LabelStudioHost(label_studio.url, label_studio.account.token)) as client:
        stamps = [changed_at(task) for task in administrator.tasks(project)]
        assert last_change(client, project) == max(filter(None, stamps))
        assert [task["id"] for task in every_task(client, project)] == [t["id"] for t in tasks]
    second = json.loads(run("commit", "-m", "corrected", "--json"))["version"]
    assert second["parent"] == first["digest"]
    told = json.loads(run("diff", "v1", "head", "--json", "--draw", str(tmp_path / "diff")))
    assert told["regions"] == {"added": 1, "removed": 1 + 7, "relabelled": 1, "changed": 1}
    assert told["annotations"] == {"changed": 3, "removed": 1, "added": 1}
    (changed,) = (one for one in told["changes"] if one["kinds"] == ["changed"])
    assert changed["task"] == two
    assert changed["iou"] == pytest.approx(0.49, abs=0.05)
    view = browser.new_page(viewport={"width": 1000, "height": 900})
    view.goto((tmp_path / "diff" / "diff.html").as_uri())
    assert view.locator("figure img").count() == 11
    view.screenshot(path=artifacts / "dataset-diff.png", full_page=True)
    view.close()

    saves = Counter(one["number"] for one in _edits(run) if one["subject"] == "annotation")
    edited = {made[one]["id"], made[two]["id"], made[three]["id"], made[four]["id"]}
    assert saves == {one["id"]: 1 + (one["id"] in edited) for one in made.values()} | {
        extra["id"]: 1
    }
    by_ben = [one for one in _edits(run) if one["person"] == ben.number]
    assert {one["number"] for one in by_ben} == {
        made[one]["id"], made[two]["id"], made[three]["id"], extra["id"],
    }  # fmt: skip

    restore = ("restore", "--version", "v1", "--task")
    assert run(*restore, str(two)).startswith("1 changed back, 0 made anew")
    for made_anew in (1, 0):
        assert f"{made_anew} made anew" in run(*restore, str(four))
    (again,) = administrator.call("GET", f"/api/tasks/{four}/annotations/")
    assert again["result"] == made[four]["result"]
    assert str(again["completed_by"]) == anna.number
    (back,) = administrator.call("GET", f"/api/tasks/{two}/annotations/")
    assert back["result"] == made[two]["result"]
    assert {one["source"] for one in _edits(run, task=two)} >= {"restore"}
    edit = next(one for one in _edits(run, task=two) if one["person"] == ben.number)
    run("restore", "--revision", str(edit["id"]), "--task", str(two))
    (back,) = administrator.call("GET", f"/api/tasks/{two}/annotations/")
    assert back["result"] == smaller
    assert run(*restore, str(two)).startswith("1 changed back")
    run("commit", "-m", "restored")
    told = json.loads(run("diff", "v1", "head", "--json"))
    assert told["regions"] == {"added": 1, "removed": 1, "relabelled": 1, "changed": 0}
    assert len(json.loads(run("log", "--json"))) == 3

    refused = command_inside(tmp_path, "dataset", "show", "v2", *own, settings=settings)
    assert refused.returncode == 2
    assert "has no version 'v2'" in refused.stderr
    _exports(run, tmp_path, projects, administrator, made)


def _exports(
    run: Any, folder: Path, projects: Projects, administrator: Person, made: dict[int, Any]
) -> None:
    manifest = Path(run("checkout", "v1", "--out", str(folder / "v1")).strip())
    data = read_dataset(manifest)
    assert (len(data), data.n_masks, data.skipped) == (N_TASKS, 7 * N_TASKS, {})
    assert run("export", "v1", "--format", "coco", "--out", str(folder / "c")) == "56 masks\n"
    coco = COCO(folder / "c" / "instances.json")
    assert {one["name"] for one in coco.cats.values()} == {"Leaf", "Fruit"}
    names = sorted(one["file_name"] for one in coco.imgs.values())
    assert names == [f"images/{number}.png" for number in range(N_TASKS)]
    assert read_dataset(folder / "c" / "instances.json").n_masks == 7 * N_TASKS
    assert run("export", "v1", "--format", "sa1b", "--out", str(folder / "s")) == "8 files\n"
    files = [json.loads(one.read_text()) for one in (folder / "s" / "annotations").iterdir()]
    assert sum(len(one["annotations"]) for one in files) == 7 * N_TASKS
    assert all(
        (folder / "s" / "annotations" / one["image"]["file_name"]).is_file() for one in files
    )
    assert run("export", "v1", "--format", "labelstudio", "--out", str(folder / "l")) == "8 tasks\n"
    tasks = json.loads((folder / "l" / "tasks.json").read_text())
    other = projects.create("taken out", CONFIG)
    administrator.call("POST", f"/api/projects/{other}/import", tasks)
    imported = eventually(lambda: administrator.tasks(other))
    results = [_text(one["annotations"][0]["result"]) for one in imported]
    assert sorted(results) == sorted(_text(one["result"]) for one in made.values())


def _edits(run: Any, task: int | None = None) -> list[dict[str, Any]]:
    only = () if task is None else ("--task", str(task))
    return json.loads(run("log", "--edits", "--json", *only))


def _text(result: list[dict[str, Any]]) -> str:
    return json.dumps(result, sort_keys=True)


def _number(task: dict[str, Any]) -> int:
    return int(task["data"]["image"].rpartition("-")[2].removesuffix(".png"))


def _shrunk(region: dict[str, Any]) -> dict[str, Any]:
    points = region["value"]["points"]
    x, y = (sum(axis) / len(points) for axis in zip(*points, strict=True))
    smaller = [[x + 0.7 * (px - x), y + 0.7 * (py - y)] for px, py in points]
    return {**region, "value": {**region["value"], "points": smaller}}
