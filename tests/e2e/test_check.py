"""`sam-backend check` against the real Label Studio: stock, half open, and as it should be."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from sam_backend.labelstudio.local_server import LocalLabelStudio
from sam_backend.labelstudio.projects import Projects
from sam_backend.labelstudio.templates import template
from tests.canned_server import CannedServer, canned_server
from tests.e2e.commands import command_inside, eventually
from tests.e2e.people import Person, brush_region
from tests.e2e.scene import Scene

pytestmark = pytest.mark.e2e

LOWERED = (
    "LABEL_STUDIO_ML_BLOCK_LOCAL_IP",
    "LABEL_STUDIO_SSRF_PROTECTION_ENABLED",
    "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN",
)

Json = dict[str, Any]


class StockLabelStudio(LocalLabelStudio):
    """Label Studio as it comes: no legacy tokens, no local backends."""

    half_open: bool = False

    def _environment(self) -> dict[str, str]:
        stock = {k: v for k, v in super()._environment().items() if k not in LOWERED}
        half = {"LABEL_STUDIO_ML_BLOCK_LOCAL_IP": "false"} if self.half_open else {}
        return stock | half


class HalfOpenLabelStudio(StockLabelStudio):
    """With the one switch that people find first; its webhooks stay refused."""

    half_open = True


class Page:
    """The browser's session: the way to a personal access token."""

    def __init__(self, server: LocalLabelStudio) -> None:
        self._http = httpx.Client(base_url=server.url, follow_redirects=True, timeout=30)
        self._http.get("/user/login")
        account = {"email": server.account.email, "password": server.account.password}
        self.call("POST", "/user/login", data=account)

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        headers = {
            "X-CSRFToken": self._http.cookies["csrftoken"],
            "Referer": str(self._http.base_url),
        }
        return self._http.request(method, path, headers=headers, **request).raise_for_status()


def check(url: str, project: int, backend: str, token: str, *options: str) -> dict[str, list[Json]]:
    """Run the command; findings by name. Its exit code tells whether one failed."""
    where = ["--url", url, "--project", str(project), "--backend-url", backend]
    settings = {name: value for name, value in os.environ.items() if name.startswith("SAM_BACKEND")}
    settings["LABEL_STUDIO_API_KEY"] = token
    with TemporaryDirectory() as folder:
        done = command_inside(Path(folder), "check", "--json", *where, *options, settings=settings)
    assert token not in done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["ok"] else 1), done.stderr
    assert report["ok"] == all(finding["status"] != "fail" for finding in report["findings"])
    found: dict[str, list[Json]] = {}
    for finding in report["findings"]:
        found.setdefault(finding["name"], []).append(finding)
    return found


def statuses(found: dict[str, list[Json]], name: str) -> list[str]:
    assert name in found, json.dumps(found, indent=1)
    return [finding["status"] for finding in found[name]]


@pytest.fixture(scope="module")
def idle_backend() -> Iterator[CannedServer]:
    """Healthy, and never clicked on: Label Studio refuses it before."""
    routes = {
        "GET /health": (200, {"status": "UP", "model_class": "sam_backend"}),
        "POST /setup": (200, {"model_version": "idle"}),
        "GET /versions": (200, {"versions": ["idle"]}),
        "GET /ready": (200, {"ready": True, "state": "ready"}),
    }
    with canned_server(routes) as server:
        yield server


def test_a_stock_label_studio_then_a_half_open_one(
    label_studio_program: Path,
    label_studio_tables: Path,
    tmp_path: Path,
    idle_backend: CannedServer,
    scene: Scene,
) -> None:
    shutil.copy(label_studio_tables, tmp_path)
    with StockLabelStudio(label_studio_program, tmp_path) as stock:
        page = Page(stock)
        token = page.call("POST", "/api/token/").json()["token"]
        body = {"title": "stock", "label_config": template("brush")}
        project = page.call("POST", "/api/projects/", json=body).json()["id"]
        files = {"scene.png": ("scene.png", scene.png)}
        page.call("POST", f"/api/projects/{project}/import", files=files)

        found = check(stock.url, project, idle_backend.url, stock.account.token)
        assert statuses(found, "token") == ["fail"]
        assert "legacy token authentication has been disabled" in found["token"][0]["seen"]

        found = check(stock.url, project, idle_backend.url, token, "--connect")
        assert statuses(found, "token") == ["ok"]
        assert statuses(found, "token sent to the backend") == ["warn"]
        assert statuses(found, "image access") == ["ok"]
        assert "560 x 560" in found["image access"][0]["seen"]
        assert statuses(found, "connection") == ["fail"]
        assert "403" in found["connection"][0]["seen"]
        assert statuses(found, "one click") == ["skipped"]

    with HalfOpenLabelStudio(label_studio_program, tmp_path) as half_open:
        found = check(half_open.url, project, idle_backend.url, token, "--connect")
        assert statuses(found, "connection") == ["fail", "warn"]
        assert "saved the backend all the same" in found["connection"][1]["seen"]

        found = check(half_open.url, project, idle_backend.url, token, "--connect")
        assert statuses(found, "connection") == ["ok"]
        assert statuses(found, "webhook") == ["warn"]
        assert "saved by half" in found["webhook"][0]["seen"]


def test_all_is_well_until_someone_connects_twice(
    label_studio: LocalLabelStudio,
    projects: Projects,
    backend: str,
    model_version: str,
    scene: Scene,
) -> None:
    token = label_studio.account.token
    project = projects.create("check", template("brush"))
    projects.upload(project, {"scene.png": scene.png})

    found = check(label_studio.url, project, backend, token)
    assert statuses(found, "connection") == ["fail"]
    assert statuses(found, "one click") == ["skipped"]

    found = check(label_studio.url, project, backend, token, "--connect")
    assert {finding["status"] for findings in found.values() for finding in findings} == {"ok"}
    assert "a brushlabels region 'Object'" in found["one click"][0]["seen"]
    (row,) = projects.backends(project)
    assert (row["url"], row["title"], row["is_interactive"]) == (backend, model_version, True)

    again = {"project": project, "url": backend, "title": "again", "is_interactive": True}
    headers = label_studio.auth_headers
    httpx.post(f"{label_studio.url}/api/ml", json=again, headers=headers).raise_for_status()
    found = check(label_studio.url, project, backend, token, "--connect")
    assert statuses(found, "duplicates") == ["warn"]
    assert statuses(found, "one click") == ["ok"]
    assert len(projects.backends(project)) == 2


def test_events_bring_the_password_of_a_backend_with_basic_auth(
    label_studio: LocalLabelStudio,
    projects: Projects,
    idle_backend: CannedServer,
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SAM_BACKEND_BASIC_AUTH_USER", "me")
    monkeypatch.setenv("SAM_BACKEND_BASIC_AUTH_PASSWORD", "secret")
    project = projects.create("check password", template("brush"))
    (task,) = projects.upload(project, {"scene.png": scene.png})
    token = label_studio.account.token

    found = check(label_studio.url, project, idle_backend.url, token, "--connect")
    assert statuses(found, "webhook") == ["ok"]
    assert "with the password from now on" in found["webhook"][0]["seen"]
    assert "secret" not in json.dumps(found)

    Person.administrator(label_studio).submit(task, brush_region("m", scene.masks["disc"]))
    (event,) = eventually(lambda: idle_backend.asked("POST /webhook"))
    assert event.body["action"] == "ANNOTATION_CREATED"
    assert event.authorization == "Basic bWU6c2VjcmV0"
