"""Opening a task in the page starts its encode, and by setting that of the tasks after it."""

import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.labelstudio.api.projects import Projects
from sam_backend.labelstudio.config.templates import template
from tests.e2e.browser import LabellingPage
from tests.e2e.conftest import running_backend
from tests.e2e.scene import Scene

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
