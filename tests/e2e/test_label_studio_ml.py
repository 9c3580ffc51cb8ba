"""PyPI's `label-studio-ml` 1.0.9 serves the adapter, and answers as our own server does."""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from sam_backend.demo.server_process import ServerProcess, free_port
from sam_backend.server.app import create_app
from sam_backend.server.service import Service
from sam_backend.settings import Settings
from tests.canned_server import CannedServer, canned_server
from tests.e2e.scene import draw_scene

pytestmark = pytest.mark.e2e

REPOSITORY = Path(__file__).parents[2]
RECORDED = REPOSITORY / "tests" / "data" / "labelstudio"
INTERACTIVE = sorted(path.stem for path in RECORDED.glob("predict_interactive_*.json"))
TOKEN = "0123456789abcdef0123456789abcdef01234567"

Json = dict[str, Any]


def recorded(name: str) -> Json:
    """A request of Label Studio 1.23.2: method, path and body."""
    return json.loads((RECORDED / f"{name}.json").read_text())


@pytest.fixture(scope="session")
def ml_environment() -> Path:
    """An environment of its own with the extra; torch and our package are lent by this one.

    Kept between runs. The lent packages come last on the path, so the extra's old pins win.
    """
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    requirements = project["optional-dependencies"]["label-studio-ml"]
    lent = sysconfig.get_path("purelib")
    wanted = json.dumps([requirements, lent, sys.version])
    folder = REPOSITORY / ".venv-label-studio-ml"
    stamp = folder / "made-of.json"
    if not stamp.exists() or stamp.read_text() != wanted:
        python = str(folder / "bin" / "python")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *requirements], check=True)
        (packages,) = folder.glob("lib/python3*/site-packages")
        (packages / "lent.pth").write_text(f"import site; site.addsitedir({lent!r})\n")
        stamp.write_text(wanted)
    return folder


@pytest.fixture(scope="module")
def label_studio_files() -> Iterator[CannedServer]:
    """The pictures of the recorded tasks, for those who show the token."""
    picture = cv2.resize(draw_scene().image[:, :, ::-1], (1800, 1200))
    png = cv2.imencode(".png", picture)[1].tobytes()
    bodies = [recorded(name)["body"] for name in INTERACTIVE]
    paths = {task["data"]["image"] for body in bodies for task in body["tasks"]}

    def answer(request: Any) -> tuple[int, Any]:
        return (200, png) if request.authorization == f"Token {TOKEN}" else (401, {})

    with canned_server({f"GET {path}": answer for path in paths}) as server:
        yield server


@pytest.fixture(scope="module")
def adapter(
    ml_environment: Path, label_studio_files: CannedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of `label-studio-ml start`."""
    folder = tmp_path_factory.mktemp("label-studio-ml")
    programs = ml_environment / "bin"
    script = REPOSITORY / "examples" / "label_studio_ml" / "model.py"
    command = [str(programs / "label-studio-ml"), "init", "served", "--script", str(script)]
    environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}  # it starts "python"
    subprocess.run(command, cwd=folder, env=os.environ | environment, check=True)
    port = free_port()
    start = [str(programs / "label-studio-ml"), "start", "served"]
    server = ServerProcess(
        "label-studio-ml",
        [*start, "--host", "127.0.0.1", "-p", str(port)],
        f"http://127.0.0.1:{port}/health",
        folder / "log",
        {
            **environment,
            "SAM_BACKEND_DATA_DIR": str(folder / "data"),
            "LABEL_STUDIO_URL": label_studio_files.url,
            "LABEL_STUDIO_API_KEY": TOKEN,
            "SAM_BACKEND_THREADS": "1",  # sums of as many parts, to the last bit
        },
        cwd=folder,
    )
    with server:
        yield server.health_url.removesuffix("/health")


@pytest.fixture(scope="module")
def ours(
    label_studio_files: CannedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """Our own HTTP application with the same settings."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("ours"),
        label_studio_url=label_studio_files.url,
        label_studio_api_key=SecretStr(TOKEN),
        threads=1,
    )
    with Service.start(settings) as service:
        yield TestClient(create_app(service, settings))


def without_ids(prediction: Json) -> Json:
    """A prediction without what is drawn at random."""
    regions = [{k: v for k, v in region.items() if k != "id"} for region in prediction["result"]]
    return {**prediction, "result": regions}


def test_recorded_calls_are_answered_as_by_our_own_server(adapter: str, ours: TestClient) -> None:
    setup = recorded("setup")["body"]
    assert httpx.post(f"{adapter}/setup", json=setup, timeout=30).status_code == 200
    assert ours.post("/setup", json=setup).status_code == 200
    n_regions = 0
    for name in INTERACTIVE:
        body = recorded(name)["body"]
        (theirs,) = httpx.post(f"{adapter}/predict", json=body, timeout=100).json()["results"]
        (expected,) = ours.post("/predict", json=body).json()["results"]
        assert without_ids(theirs) == without_ids(expected), name
        n_regions += len(theirs["result"])
    assert n_regions >= len(INTERACTIVE)


def test_a_batch_gets_as_many_results_as_tasks(adapter: str) -> None:
    body = recorded("predict_batch_null_context")["body"]
    answer = httpx.post(f"{adapter}/predict", json=body, timeout=100)
    assert len(answer.json()["results"]) == len(body["tasks"])


def test_a_wrong_request_gets_no_result_and_no_traceback(adapter: str) -> None:
    body = recorded("predict_interactive_keypoint")["body"]
    answer = httpx.post(f"{adapter}/predict", json=body | {"tasks": []}, timeout=100)
    assert (answer.status_code, answer.json()["results"]) == (200, [])


def test_events_are_taken(adapter: str) -> None:
    body = recorded("webhook_ANNOTATION_CREATED")
    assert httpx.post(f"{adapter}/webhook", json=body, timeout=30).status_code == 201
    assert httpx.get(f"{adapter}/health", timeout=30).json()["status"] == "UP"
