"""Two server processes share embeddings through a real Redis, and both outlive it."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.labelstudio.api.projects import Projects
from sam_backend.labelstudio.config.templates import template
from tests.e2e.conftest import running_backend
from tests.e2e.decoding import iou, mask_of
from tests.e2e.people import Person
from tests.e2e.scene import HEIGHT, WIDTH, Scene
from tests.redis_server import running_redis

pytestmark = pytest.mark.e2e


def embeddings(backend_url: str) -> dict[str, Any]:
    """What a backend's status page says of its embeddings."""
    status = httpx.get(f"{backend_url}/status", headers={"Accept": "application/json"})
    return status.json()["embeddings"]


def test_two_processes_share_embeddings_and_outlive_redis(
    label_studio: LocalLabelStudio, projects: Projects, scene: Scene, tmp_path: Path
) -> None:
    project = projects.create("e2e redis", template("brush"))
    task, other_task = projects.upload(project, {"a.png": scene.png, "b.png": scene.png + b"\0"})
    truth, anna = scene.masks["disc"], Person.administrator(label_studio)
    with running_redis() as redis:
        (tmp_path / "one").mkdir()
        with running_backend(tmp_path / "one", REDIS_URL=redis.url) as first:
            backend = projects.connect_backend(project, first, "first")
            (region,) = anna.click(backend, task, 150, 150, (HEIGHT, WIDTH))["result"]
            assert iou(mask_of(region), truth) > 0.8
            assert embeddings(first)["encoded"] == 1

        (tmp_path / "two").mkdir()
        with running_backend(tmp_path / "two", REDIS_URL=redis.url) as second:
            backend = projects.connect_backend(project, second, "second")
            (region,) = anna.click(backend, task, 150, 150, (HEIGHT, WIDTH))["result"]
            assert iou(mask_of(region), truth) > 0.8
            assert embeddings(second)["encoded"] == 0

            redis.kill()
            (region,) = anna.click(backend, other_task, 150, 150, (HEIGHT, WIDTH))["result"]
            assert iou(mask_of(region), truth) > 0.8
            assert embeddings(second)["encoded"] == 1
            assert "Redis at" in (tmp_path / "two" / "backend.log").read_text()
