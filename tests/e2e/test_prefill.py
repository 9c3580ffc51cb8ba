"""Stage 2 in the real Label Studio: tasks are prefilled, people complete them, a report tells."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser

import sam_backend as sb
from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.demo.server_process import bare_environment
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.api.project_tasks import read_filter, task_numbers, tasks_numbered
from sam_backend.labelstudio.api.projects import Projects
from sam_backend.labelstudio.config.templates import template
from sam_backend.labelstudio.regions import codec
from sam_backend.masks import rle
from sam_backend.masks.overlap import mask_iou
from sam_backend.masks.types import Mask
from tests.e2e.browser import LabellingPage
from tests.e2e.commands import command, eventually, inside, settings_of
from tests.e2e.conftest import running_backend
from tests.e2e.people import Person, brush_region, rectangle_region
from tests.e2e.scene import HEIGHT, WIDTH, Scene
from tests.pages import python_blocks

pytestmark = pytest.mark.e2e

N_TASKS = 60
PREFILL = {"parameters": {"points_per_side": 6}}


@pytest.fixture
def admin(label_studio: LocalLabelStudio) -> Person:
    return Person.administrator(label_studio)


def retrieve_predictions(label_studio: LocalLabelStudio, project: int) -> None:
    """What the Data Manager's action does for all tasks; Label Studio waits 100 s for us."""
    httpx.post(
        f"{label_studio.url}/api/dm/actions?id=retrieve_tasks_predictions&project={project}",
        json={"selectedItems": {"all": True, "excluded": []}},
        headers=label_studio.auth_headers,
        timeout=150,
    ).raise_for_status()


def predictions(admin: Person, task: int) -> list[dict[str, Any]]:
    return admin.call("GET", f"/api/predictions/?task={task}")


def masks_of(prediction: dict[str, Any]) -> list[Mask]:
    return [codec.decode(region) for region in prediction["result"]]


def found(masks: list[Mask], wanted: Mask) -> Mask:
    """The mask nearest to an object; the test fails if none is near."""
    best = max(masks, key=lambda mask: mask_iou(mask, wanted))
    assert mask_iou(best, wanted) > 0.8
    return best


def test_retrieve_predictions_prefills_all_but_broken_images(
    label_studio: LocalLabelStudio,
    projects: Projects,
    admin: Person,
    browser: Browser,
    cookies: list[dict],
    scene: Scene,
    tmp_path: Path,
    artifacts: Path,
) -> None:
    project = projects.create("e2e prefill", template("brush"))
    files = {f"{number:02}.png": scene.png + bytes([number]) for number in range(N_TASKS)}
    files["10.png"] = scene.png[: len(scene.png) // 2]
    files["30.png"] = b"<html>not an image</html>"
    tasks = projects.upload(project, files)
    by_name = dict(zip(files, tasks, strict=True))
    gone = by_name["50.png"]
    uploaded = Path(projects.task(gone)["data"]["image"]).name
    (kept,) = label_studio.data_dir.rglob(uploaded)
    kept.unlink()
    broken = {by_name["10.png"], by_name["30.png"], gone}

    settings = {"SAM_BACKEND_PREFILL": json.dumps(PREFILL)}
    with running_backend(tmp_path, **settings) as backend:
        version = httpx.get(f"{backend}/versions").json()["versions"][0]
        projects.connect_backend(project, backend, version)
        for _ in range(4):  # a busy machine may not be ready within one request
            retrieve_predictions(label_studio, project)
            by_task = {task: predictions(admin, task) for task in tasks}
            filled = {task for task, told in by_task.items() if told and told[0]["result"]}
            if len(filled) == N_TASKS - len(broken):
                break
        assert filled == set(tasks) - broken
        assert all(len(told) == 1 for task, told in by_task.items() if task in filled)
        reasons = {
            entry["subject"].rpartition(" ")[2]: entry["reason"]
            for entry in httpx.get(f"{backend}/status").json()["journal"]
            if "go on in the background" not in entry["reason"]
        }
        assert set(reasons) == {str(task) for task in broken}
        # what is no image will not become one; what is not there may come
        assert [len(by_task[task]) for task in sorted(broken, key=lambda t: t == gone)] == [1, 1, 0]

        for task in list(filled)[::20]:
            masks = masks_of(by_task[task][0])
            for wanted in scene.masks.values():
                found(masks, wanted)

        def told() -> bool:
            data = {task: projects.task(task)["data"] for task in (*broken, *list(filled)[::20])}
            return all("sam_note" in fields for fields in data.values())

        eventually(told, 120)
        for task in broken:
            data = projects.task(task)["data"]
            assert data["sam_note"] == reasons[str(task)]
            assert data["sam_masks"] == 0
        data = projects.task(min(filled))["data"]
        assert data["sam_masks"] >= 3
        assert 0.1 < data["sam_coverage"] <= 1
        assert admin.call("GET", f"/api/projects/{project}/")["model_version"] == version
        neediest = admin.call("GET", needy_first(project))["tasks"][0]["id"]
        assert neediest in broken

        task = min(filled)
        complete_in_the_page(
            label_studio, browser, cookies, project, task, by_task[task][0], scene, artifacts
        )
    options = ["--project", str(project), "--json"]
    report = inside(tmp_path, "prefill", "report", *options, settings=access(label_studio))
    told_now = json.loads(report)
    assert (told_now["rejected"], told_now["edited"], told_now["added"]) == (1, 1, 1)


def needy_first(project: int) -> str:
    query = json.dumps({"ordering": ["tasks:data.sam_coverage"]})
    return str(httpx.URL("/api/tasks/", params={"project": project, "query": query}))


def access(server: LocalLabelStudio) -> dict[str, str]:
    return settings_of(server)


def complete_in_the_page(
    label_studio: LocalLabelStudio,
    browser: Browser,
    cookies: list[dict],
    project: int,
    task: int,
    prediction: dict[str, Any],
    scene: Scene,
    artifacts: Path,
) -> None:
    """Open a prefilled task, delete one mask, fix one, add one, submit."""
    page = LabellingPage(browser, label_studio.url)
    page.context.add_cookies(cookies)
    page.open_task(project, task)
    page.screenshot(artifacts / "prefill-opened.png")
    page.start_from_prediction()
    before = page.regions()
    assert len(before) == len(prediction["result"])
    masks = [codec.decode(region) for region in before]
    disc = found(masks, scene.masks["disc"])
    box = found(masks, scene.masks["box"])
    by_mask = {id(mask): region["id"] for mask, region in zip(masks, before, strict=True)}
    page.delete_region(by_mask[id(disc)])
    page.paint(by_mask[id(box)], [(410, 215), (410, 245)])
    page.paint(None, [(60, 500), (120, 520)], label=("mask", "Object"))
    page.screenshot(artifacts / "prefill-completed.png")
    page.submit()
    page.close()


N_KILLED_TASKS = 54
SMALL = 96


def small_scene(number: int) -> bytes:
    """A disc somewhere on a plain ground; every picture is another one."""
    rng = np.random.default_rng(number)
    image = np.full((SMALL, SMALL, 3), 210, np.uint8)
    centre = tuple(int(at) for at in rng.integers(30, SMALL - 30, 2))
    cv2.circle(image, centre, int(rng.integers(12, 26)), (40, 40, 200), -1)
    return cv2.imencode(".png", image)[1].tobytes()


def test_killed_five_times_every_task_is_predicted_once(
    label_studio: LocalLabelStudio, projects: Projects, admin: Person, tmp_path: Path
) -> None:
    project = projects.create("e2e killed prefills", template("brush"))
    tasks = projects.upload(
        project, {f"{number:03}.png": small_scene(number) for number in range(N_KILLED_TASKS)}
    )
    options = ["--project", str(project), "--set", 'parameters={"points_per_side": 6}', "--json"]
    settings = access(label_studio)
    rng = random.Random(5)
    for n_kills in range(1, 6):
        least = rng.randrange(8) + 7 * (n_kills - 1)
        kill_once_sent(admin, project, least, tmp_path, settings, options)
    ended = command(tmp_path, "preannotate", *options, settings=settings)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["tasks_prefilled"] + told["tasks_done_before"] == N_KILLED_TASKS
    counts = [len(predictions(admin, task)) for task in tasks]
    assert counts == [1] * N_KILLED_TASKS

    # uncertainty sampling brings the task that we know least of
    scores = {task: predictions(admin, task)[0]["score"] for task in tasks}
    admin.call("PATCH", f"/api/projects/{project}/", {"sampling": "Uncertainty sampling"})
    neediest = admin.call("GET", f"/api/projects/{project}/next")["id"]
    assert scores[neediest] == min(scores.values()) < max(scores.values())

    again = command(tmp_path, "preannotate", *options, settings=settings)
    assert json.loads(again.stdout)["tasks_done_before"] == N_KILLED_TASKS
    assert [len(predictions(admin, task)) for task in tasks] == counts


def kill_once_sent(
    admin: Person,
    project: int,
    least: int,
    folder: Path,
    settings: dict[str, str],
    options: list[str],
) -> None:
    """Start a run and SIGKILL it at a moment after so many tasks have predictions."""
    run = subprocess.Popen(
        [sys.executable, "-m", "sam_backend.cli.main", "preannotate", *options],
        env=bare_environment() | {"SAM_BACKEND_DATA_DIR": str(folder)} | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def is_there() -> bool:
        if run.poll() is not None:
            return True
        found = admin.call("GET", f"/api/projects/{project}/")["total_predictions_number"]
        return found >= least

    try:
        eventually(is_there, 120, 0.02)
        time.sleep(random.Random(least).random() / 4)
    finally:
        run.kill()
        run.wait()


def test_tasks_by_tab_and_by_filter(
    label_studio: LocalLabelStudio, projects: Projects, admin: Person
) -> None:
    project = projects.create("e2e tabs", template("brush"))
    tasks = projects.upload(project, {f"{n}.png": small_scene(n) for n in range(4)})
    above = {"filter": "filter:tasks:id", "operator": "greater", "type": "Number"}
    filters = {"conjunction": "and", "items": [above | {"value": tasks[1]}]}
    view = admin.call("POST", "/api/dm/views", {"project": project, "data": {"filters": filters}})
    host = LabelStudioHost(label_studio.url, label_studio.account.token)
    with LabelStudioClient(host) as client:
        assert task_numbers(client, project) == tasks
        assert task_numbers(client, project, view=view["id"]) == tasks[2:]
        told = read_filter(json.dumps(filters))
        assert task_numbers(client, project, filters=told) == tasks[2:]
        assert task_numbers(client, project, filters=told, limit=1) == tasks[2:3]
        found = list(tasks_numbered(client, project, [tasks[3], tasks[0], 10**6]))
    assert [task["id"] for task in found] == [tasks[3], tasks[0]]
    assert found[0]["total_predictions"] == 0


def test_what_people_drew_is_not_proposed_and_a_second_run_replaces_its_own(
    label_studio: LocalLabelStudio,
    projects: Projects,
    admin: Person,
    scene: Scene,
    tmp_path: Path,
) -> None:
    by_hand = (
        '<RectangleLabels name="drawn" toName="image" smart="false"><Label value="Object"/>'
        "</RectangleLabels><Image"
    )
    project = projects.create("e2e repeats", template("brush").replace("<Image", by_hand))
    drawn, drafted, untouched = projects.upload(
        project, {f"{number}.png": scene.png + bytes([number]) for number in range(3)}
    )
    annotation = admin.submit(drawn, brush_region("by hand", scene.masks["disc"]))
    around_disc = rectangle_region("rectangle", "drawn", (65, 65, 236, 236), (HEIGHT, WIDTH))
    draft = {"result": [brush_region("draft", scene.masks["box"]), around_disc], "lead_time": 1}
    admin.call("POST", f"/api/tasks/{drafted}/drafts", draft)
    settings, options = access(label_studio), ["--project", str(project)]
    for setting in ('parameters={"points_per_side": 10}', "--again"):
        given = ["--set", setting] if setting != "--again" else [setting]
        told = command(tmp_path, "preannotate", *options, *given, "--json", settings=settings)
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout)["tasks_prefilled"] == 3
        masks = {}
        for task in (drawn, drafted, untouched):
            (one,) = predictions(admin, task)
            masks[task] = masks_of(one)
        assert all(mask_iou(mask, scene.masks["disc"]) < 0.5 for mask in masks[drawn])
        assert all(mask_iou(mask, scene.masks["box"]) < 0.5 for mask in masks[drafted])
        assert all(mask_iou(mask, scene.masks["disc"]) < 0.5 for mask in masks[drafted])
        found(masks[drawn], scene.masks["box"])
        found(masks[untouched], scene.masks["disc"])
    (kept,) = admin.call("GET", f"/api/tasks/{drawn}/annotations/")
    assert kept["id"] == annotation["id"]
    assert kept["result"] == annotation["result"]
    assert masks[untouched][0].shape == (HEIGHT, WIDTH)

    # all like the disc that somebody has submitted; without one, a sentence and no prediction
    like_disc = [*options, "--like", f"{drawn}/{annotation['id']}", "--json"]
    told = command(tmp_path, "preannotate", *like_disc, settings=settings)
    assert told.returncode == 0, told.stderr
    (one,) = predictions(admin, untouched)
    alike = masks_of(one)
    found(alike, scene.masks["disc"])
    assert all(mask_iou(mask, scene.masks["box"]) < 0.5 for mask in alike)
    admin.call("DELETE", f"/api/annotations/{annotation['id']}/")
    told = command(tmp_path, "preannotate", *options, "--proposer", "similar", settings=settings)
    assert told.returncode != 0
    assert "nobody has submitted a mask of labels 'Object', 'Animal', 'Person' yet" in told.stderr


def test_the_python_page_s_example_prefills_and_reads_a_project(
    label_studio: LocalLabelStudio,
    projects: Projects,
    admin: Person,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = projects.create("e2e python", template("brush"))
    first, second = projects.upload(project, {f"{n}.png": small_scene(n) for n in range(2)})
    drawn = np.zeros((SMALL, SMALL), bool)
    drawn[20:60, 30:70] = True
    admin.submit(first, brush_region("one", drawn))
    (example,) = (block for block in python_blocks() if "open_project" in block)
    example = example.replace("open_project(7)", f"open_project({project})")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAM_BACKEND_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SAM_BACKEND_PREFILL", json.dumps(PREFILL))
    for name, value in settings_of(label_studio).items():
        monkeypatch.setenv(name, value)

    names: dict[str, Any] = {}
    exec(compile(example, "python.md", "exec"), names)
    assert (names["summary"].sent, names["summary"].reasons) == (2, {})
    assert [len(predictions(admin, task)) for task in (first, second)] == [1, 1]
    (image,) = names["dataset"]
    assert np.array_equal(rle.decode(image.masks[0].rle), drawn)
    assert names["report"].interactive.miou_at(1) > 0
    with sb.open_project(project) as again:
        assert repr(again) == f"<LabelStudioProject {project} of {label_studio.url}>"
        done_before = again.preannotate(limit=100, accept_predicted_iou=0.8)
        assert (done_before.sent, done_before.known) == (0, 2)
        with pytest.raises(sb.InvalidInputError, match="accept_predicted_iuo"):
            again.preannotate(accept_predicted_iuo=0.8)
    with (
        pytest.raises(sb.SamBackendError, match=f"has no project 99999 .*{project} "),
        sb.open_project(99999),
    ):
        pass
