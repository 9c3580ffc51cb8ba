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
from playwright.sync_api import Browser

from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.labelstudio.api.event_secret import HEADER, event_secret
from sam_backend.labelstudio.api.projects import Projects
from sam_backend.labelstudio.config.templates import template
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.revisions import DELETED, Revisions
from tests.canned_server import CannedServer, canned_server
from tests.e2e.commands import command_inside, eventually, settings_of
from tests.e2e.conftest import running_backend
from tests.e2e.decoding import iou, mask_of
from tests.e2e.people import Person, brush_region
from tests.e2e.scene import HEIGHT, WIDTH, Scene

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


WRITERS = [
    "stage begin",
    "stage advance --reason none",
    "preannotate",
    "train",
    "train-detector",
    "gold add",
    "gold plant",
    "gold score",
    "quality agreement",
    "quality report --out report",
    "prefill report",
    "prefill learn-labels",
    "dataset commit -m first",
    "dataset tag v1",
    "tasks join --everyone",
    "tasks balance",
    "tasks order",
]


def test_what_people_ask_for_wrongly_is_a_sentence(
    label_studio: LocalLabelStudio, projects: Projects, scene: Scene, tmp_path: Path
) -> None:
    """A backend as somebody connects it by hand, and the commands beside it."""
    project = projects.create("by hand", template("brush"))
    projects.upload(project, {"scene.png": scene.png})
    own = settings_of(label_studio)

    def refused(line: str, settings: dict[str, str] | None = None) -> str:
        ended = command_inside(tmp_path, *line.split(), settings=settings)
        assert ended.returncode != 0, line
        assert "Traceback" not in ended.stderr, line
        (sentence,) = ended.stderr.splitlines()
        assert label_studio.account.token not in sentence
        return sentence

    for line in WRITERS:
        told = refused(f"{line} --project 99999", own)
        assert "has no project 99999 that our user may see; there are: " in told, line
    assert "has no project 99999" in refused("generate labelstudio://99999 --out run", own)
    assert not (tmp_path / "projects").exists()
    wrong = own | {"LABEL_STUDIO_API_KEY": "0" * 40}
    assert "refuses our token" in refused(f"stage begin --project {project}", wrong)

    with running_backend(tmp_path) as backend:
        body = {"project": project, "url": backend, "title": "My SAM", "is_interactive": True}
        headers = label_studio.auth_headers
        httpx.post(f"{label_studio.url}/api/ml", json=body, headers=headers).raise_for_status()
        checks = ["check", "--project", str(project), "--backend-url", backend]
        readme = [*checks, "--url", label_studio.url]
        for line in (readme, checks):
            ended = command_inside(tmp_path, *line, "--json")
            found = json.loads(ended.stdout)["findings"]
            assert {one["status"] for one in found} == {"ok"}, found

        told = refused(f"preannotate --project {project} --view 99999")
        assert told.startswith(f"error: project {project} has no Data Manager tab 99999")
        told = refused(f"preannotate --project {project} --set max_mask=3")
        assert "(did you mean 'max_masks'?)" in told

        ended = command_inside(tmp_path, "gold", "add", "--project", str(project))
        assert "is marked as ground truth: mark some" in ended.stderr

        (upload,) = label_studio.data_dir.glob(f"media/upload/{project}/*")
        upload.unlink()
        report = json.loads(command_inside(tmp_path, *checks, "--json").stdout)
        (image,) = [one for one in report["findings"] if one["name"] == "image access"]
        assert "answers 500" in image["seen"]
        assert "the uploaded file is gone from Label Studio" in image["fix"]

    # Label Studio's own address is kept: what only reads our database works without it
    away = {"LABEL_STUDIO_URL": "http://127.0.0.1:9", "LABEL_STUDIO_API_KEY": "0" * 40}
    ended = command_inside(tmp_path, "stage", "log", "--project", str(project), settings=away)
    assert ended.returncode == 0
    assert f"sam-backend stage begin --project {project}" in ended.stderr


def test_check_puts_the_secret_of_a_backend_with_basic_auth_into_its_webhook(
    label_studio: LocalLabelStudio,
    projects: Projects,
    idle_backend: CannedServer,
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SAM_BACKEND_BASIC_AUTH_USER", "me")
    monkeypatch.setenv("SAM_BACKEND_BASIC_AUTH_PASSWORD", "hush hush")
    project = projects.create("check password", template("brush"))
    (task,) = projects.upload(project, {"scene.png": scene.png})
    token = label_studio.account.token

    found = check(label_studio.url, project, idle_backend.url, token, "--connect")
    assert statuses(found, "webhook") == ["ok"]
    assert "with a secret of their own" in found["webhook"][0]["seen"]
    assert "hush" not in json.dumps(found)

    Person.administrator(label_studio).submit(task, brush_region("m", scene.masks["disc"]))
    (event,) = eventually(lambda: idle_backend.asked("POST /webhook"))
    assert event.body["action"] == "ANNOTATION_CREATED"
    assert event.authorization is None
    (hook,) = Person.administrator(label_studio).call("GET", f"/api/webhooks/?project={project}")
    assert hook["headers"] == {HEADER: event_secret("me", "hush hush")}


def test_a_backend_with_basic_auth_gets_its_events_and_believes_none_of_them(
    label_studio: LocalLabelStudio,
    projects: Projects,
    browser: Browser,
    scene: Scene,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Connected as a person does on the page; then somebody forges an event with the secret.

    Label Studio sends the umlauts in latin-1, browsers and curl in UTF-8.
    """
    user, password = "jürgen", "größe größer"
    auth = {
        "SAM_BACKEND_BASIC_AUTH_USER": user,
        "SAM_BACKEND_BASIC_AUTH_PASSWORD": password,
    }
    admin = Person.administrator(label_studio)
    project = projects.create("basic auth end to end", template("brush"))
    (task,) = projects.upload(project, {"scene.png": scene.png})
    with running_backend(tmp_path, **auth) as url:
        row = {"project": project, "url": url, "title": "sam", "is_interactive": True}
        row |= {"auth_method": "BASIC_AUTH", "basic_auth_user": user}
        connected = admin.call("POST", "/api/ml", row | {"basic_auth_pass": password})

        def headers() -> Json:
            (hook,) = admin.call("GET", f"/api/webhooks/?project={project}")
            return hook["headers"]

        eventually(lambda: HEADER in (headers() or {}))
        assert "größ" not in json.dumps(headers(), ensure_ascii=False)

        (shown,) = admin.click(connected["id"], task, 150, 150, (HEIGHT, WIDTH))["result"]
        assert iou(mask_of(shown), scene.masks["disc"]) > 0.8
        with browser.new_context(
            http_credentials={"username": user, "password": password}
        ) as somebody:
            page = somebody.new_page()
            with page.expect_response(lambda answer: "/figures" in answer.url) as figures:
                assert page.goto(f"{url}/dashboard").status == 200
            assert figures.value.status == 200
        in_utf8 = httpx.BasicAuth(user.encode(), password.encode())
        assert httpx.get(f"{url}/dashboard", auth=in_utf8).status_code == 200
        assert httpx.get(f"{url}/dashboard", auth=(user, "grosse")).status_code == 401
        for name, value in auth.items():
            monkeypatch.setenv(name, value)
        found = check(label_studio.url, project, url, label_studio.account.token)
        assert {one["status"] for findings in found.values() for one in findings} == {"ok"}, found

        made = admin.submit(task, brush_region("m", scene.masks["disc"]), lead_time=3)
        database = open_database(Settings(data_dir=tmp_path))
        log = Revisions(database, label_studio.url, project)
        eventually(lambda: {one.number for one in log.newest()} == {task, made["id"]})
        (told,) = log.history(annotation=made["id"])
        assert (told.source, told.is_confirmed) == ("webhook", True)
        assert told.author == admin.number

        forged = {"action": "TASKS_DELETED", "project": {"id": project}, "tasks": [{"id": task}]}
        assert httpx.post(f"{url}/webhook", json=forged).status_code == 401
        answer = httpx.post(f"{url}/webhook", json=forged, headers=headers())
        assert answer.json() == {"status": "ok"}
        eventually(lambda: log.pending(log.mark()) == {})
        assert {one.number for one in log.newest()} == {task, made["id"]}
        assert [one.is_confirmed for one in log.history(task) if one.change == DELETED] == [False]

        admin.call("DELETE", f"/api/tasks/{task}/")
        eventually(lambda: log.newest() == [])
        database.close()
