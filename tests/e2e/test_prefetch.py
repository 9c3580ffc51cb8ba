"""Opening a task starts its encode, by the model that its project names."""

import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser
from safetensors.torch import save_file

from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.labelstudio.api.projects import Projects
from sam_backend.labelstudio.config.templates import template
from sam_backend.settings import Settings
from sam_backend.store.models import open_store
from tests.e2e.browser import LabellingPage
from tests.e2e.commands import inside
from tests.e2e.conftest import running_backend
from tests.e2e.people import Json, Person
from tests.e2e.scene import HEIGHT, WIDTH, Scene
from tests.sam.networks import random_starter

pytestmark = pytest.mark.e2e


def encoded(backend: str, at_least: int, patience_s: float = 60.0) -> int:
    """Images that the backend has encoded, once there are so many, or when patience ends."""
    deadline = time.monotonic() + patience_s
    while True:
        count = int(httpx.get(f"{backend}/status").json()["embeddings"]["encoded"])
        if count >= at_least or time.monotonic() > deadline:
            return count
        time.sleep(0.2)


def test_opening_a_task_warms_it_and_the_next_ones(
    label_studio: LocalLabelStudio,
    projects: Projects,
    browser: Browser,
    cookies: list[dict],
    scene: Scene,
    tmp_path: Path,
) -> None:
    project = projects.create("e2e opening", template("brush"))
    files = {f"{number}.png": scene.png + bytes([number]) for number in range(5)}
    _, opened, *_ = projects.upload(project, files)
    with running_backend(tmp_path, SAM_BACKEND_PREFETCH_TASKS="2") as backend:
        version = httpx.get(f"{backend}/versions").json()["versions"][0]
        projects.connect_backend(project, backend, version)
        page = LabellingPage(browser, label_studio.url)
        page.context.add_cookies(cookies)
        page.open_task(project, opened)
        assert encoded(backend, at_least=3) == 3
        page.close()
        assert httpx.get(f"{backend}/status").json()["journal"] == []
    assert projects.task(opened)["predictions"] == []


def test_two_projects_are_answered_by_a_model_each(
    label_studio: LocalLabelStudio, projects: Projects, scene: Scene, tmp_path: Path
) -> None:
    save_file(random_starter().state_dict(), tmp_path / "mine.safetensors")
    open_store(Settings(data_dir=tmp_path)).add(tmp_path / "mine.safetensors", "mine")
    person = Person.administrator(label_studio)
    names, leaves = (projects.create(f"e2e {name}", template("brush")) for name in ("own", "none"))
    tasks = {one: projects.upload(one, {"image.png": scene.png})[0] for one in (names, leaves)}

    with running_backend(tmp_path) as backend:
        rows: dict[int, Json] = {}
        for project, extra in ((names, {"model": "mine"}), (leaves, {})):
            body = {"project": project, "url": backend, "title": "sam", "is_interactive": True}
            rows[project] = person.call("POST", "/api/ml/", body | {"extra_params": extra})

        def answering(project: int) -> str:
            size = (HEIGHT, WIDTH)
            answer = person.click(rows[project]["id"], tasks[project], 150, 150, size)
            return str(answer["model_version"]).partition("+")[0]

        assert [answering(one) for one in (names, leaves)] == ["mine", "starter-3"]
        (row,) = projects.backends(names)  # a listing asks /setup anew
        assert row["model_version"].startswith("mine+")

        few = 'parameters={"points_per_side": 2}'
        inside(tmp_path, "preannotate", "--project", str(names), "--set", few, "--limit", "1")
        (prediction,) = projects.task(tasks[names])["predictions"]
        shown = person.call("GET", f"/api/projects/{names}/")["model_version"]
        assert shown == prediction["model_version"] == row["model_version"]

        told = inside(tmp_path, "models", "use", "mine", "--project", str(leaves), "--json")
        assert '"before": "starter-3"' in told
        inside(tmp_path, "models", "use", "starter-3", "--project", str(names))
        assert [answering(one) for one in (names, leaves)] == ["starter-3", "mine"]
        assert httpx.get(f"{backend}/status").json()["journal"] == []
