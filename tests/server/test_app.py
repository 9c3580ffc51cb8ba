"""The HTTP application: who is answered what, also while the model loads."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from sam_backend.errors import DatabaseError, ModelStoreError
from sam_backend.labelstudio.api.webhook_events import WebhookEvent
from sam_backend.sam.segmenter import Segmenter
from sam_backend.server.app import create_app
from sam_backend.server.service import Service
from sam_backend.serving.champion import Champion
from sam_backend.serving.factory import open_caches
from sam_backend.serving.model_choice import ModelChoice
from sam_backend.settings import Settings
from sam_backend.store.models import open_store
from tests.server.playing import CONFIG, PROJECT, running_service

SETUP = {
    "project": PROJECT,
    "schema": CONFIG,
    "hostname": "http://ls:8080",
    "access_token": "t0ken",
}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with running_service(tmp_path) as service:
        service.wait_until_loaded()
        yield TestClient(create_app(service, Settings(data_dir=tmp_path, max_body_mb=1)))


class StuckLoad:
    """A model whose weights never finish loading until the test lets them, or fail."""

    def __init__(self, folder: Path) -> None:
        self.may_end = threading.Event()
        self.error: Exception | None = None
        settings = Settings(data_dir=folder)
        caches, store = open_caches(settings), open_store(settings)
        self.real = ModelChoice(settings, store).checkpoint()
        self.champion = Champion(replace(self.real, load=self._load), caches.all)
        self.service = Service(settings, caches, store, self.champion)
        self.client = TestClient(create_app(self.service, settings))

    def _load(self) -> Segmenter:
        self.may_end.wait()
        if self.error is not None:
            raise self.error
        return self.real.load()


@pytest.fixture
def stuck(tmp_path: Path) -> Iterator[StuckLoad]:
    load = StuckLoad(tmp_path)
    yield load
    load.may_end.set()
    load.service.close()


def test_what_runs_beside_requests_begins_and_ends_with_the_application(stuck: StuckLoad) -> None:
    calls: list[str] = []
    app = create_app(
        stuck.service, Settings(), lambda: calls.append("start"), lambda: calls.append("close")
    )
    with TestClient(app) as client:
        assert calls == ["start"]
        assert client.get("/health").status_code == 200
    assert calls == ["start", "close"]


def test_light_calls_are_answered_while_the_model_loads(stuck: StuckLoad) -> None:
    assert stuck.client.get("/health").json()["status"] == "UP"
    version = stuck.client.post("/setup", json=SETUP).json()["model_version"]
    assert version.startswith(stuck.real.card.version + "+")
    assert stuck.client.get("/versions").json()["versions"][0] == version
    assert stuck.client.get("/status").json()["model"]["state"] == "loading"
    assert stuck.client.get("/ready").status_code == 503
    stuck.may_end.set()
    stuck.service.wait_until_loaded()
    ready = stuck.client.get("/ready")
    assert (ready.status_code, ready.json()["model_version"]) == (200, version)


def test_the_version_is_the_one_that_the_loaded_model_has(
    client: TestClient, tmp_path: Path
) -> None:
    with running_service(tmp_path) as service:
        assert service.wait_until_loaded().model_version == service.model_version


def test_a_model_that_cannot_be_loaded_is_said(stuck: StuckLoad) -> None:
    stuck.error = ModelStoreError("weights.pth is damaged")
    stuck.may_end.set()
    with pytest.raises(ModelStoreError):
        stuck.service.wait_until_loaded()
    assert stuck.client.get("/health").status_code == 200
    assert stuck.client.get("/ready").status_code == 503
    model = stuck.client.get("/status").json()["model"]
    assert (model["state"], model["failure"]) == ("failed", "weights.pth is damaged")


def test_requests_do_not_pile_up_behind_a_model_that_failed(stuck: StuckLoad) -> None:
    stuck.error = ValueError("")
    stuck.may_end.set()
    raised = []
    for _ in range(2):
        with pytest.raises(ModelStoreError, match="ValueError") as caught:
            stuck.service.wait_until_loaded()
        raised.append(caught.value)
    assert raised[0] is not raised[1]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/predict", b"{broken", 400),
        ("/predict", b"", 400),
        ("/predict", b"[]", 400),
        ("/predict", b'{"tasks": 3}', 400),
        ("/predict", b'{"tasks": [], "params": {"context": {"result": []}}}', 400),
        ("/predict", b"x" * (1024 * 1024 + 1), 413),
        ("/setup", b"{}", 400),
        ("/webhook", b"{}", 400),
        ("/webhook", b'{"action": "START_TRAINING", "project": 3}', 400),
        ("/predict", b'{"tasks": []}', 200),
        ("/webhook", b'{"action": "ANNOTATION_CREATED"}', 200),
    ],
)
def test_bad_bodies_are_4xx_and_in_the_journal(
    client: TestClient, path: str, body: bytes, status: int
) -> None:
    response = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == status
    if status == 400:
        (entry,) = client.get("/status").json()["journal"]
        assert entry["subject"] == path
        assert entry["reason"] == response.json()["error"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook"])
def test_a_strange_page_in_the_browser_cannot_post(
    client: TestClient, path: str, kind: str
) -> None:
    body = json.dumps(SETUP | {"tasks": [], "action": "x"}).encode()
    assert client.post(path, content=body, headers={"Content-Type": kind}).status_code == 415
    assert client.get("/status").json()["projects"] == {}


def test_an_event_goes_on_and_what_stops_it_is_answered(stuck: StuckLoad) -> None:
    """Label Studio shows the answer to START_TRAINING to whoever pressed the button."""
    events: list[WebhookEvent] = []

    def on_event(event: WebhookEvent) -> None:
        events.append(event)
        if event.action == "START_TRAINING":
            raise DatabaseError("the database is away")

    stuck.service._on_event = on_event
    stuck.client.post("/setup", json=SETUP)
    body = {"action": "ANNOTATION_CREATED", "project": {"id": 3}, "annotation": {"id": 5}}
    assert stuck.client.post("/webhook", json=body).json()["status"] == "ignored"
    pressed = {"action": "START_TRAINING", "project": {"id": 1}}
    refused = stuck.client.post("/webhook", json=pressed)
    assert (refused.status_code, refused.json()) == (500, {"error": "the database is away"})
    assert [event.project_id for event in events] == [1], "nothing is kept of unknown projects"
    entry = stuck.service.journal.entries()[0]
    assert entry.reason == "the database is away"


def test_setup_is_answered_where_nothing_can_be_written(tmp_path: Path) -> None:
    with running_service(tmp_path / "data") as service:
        (tmp_path / "data").write_text("a file where the folder should be")
        client = TestClient(create_app(service, Settings(data_dir=tmp_path / "data")))
        assert client.post("/setup", json=SETUP).status_code == 200
        (entry,) = client.get("/status").json()["journal"]
        assert entry["subject"] == f"setup of project {PROJECT}"
        assert client.get("/status").json()["projects"] == {PROJECT: ["http://ls:8080"]}


def test_light_calls_are_answered_while_the_device_is_busy(stuck: StuckLoad) -> None:
    stuck.may_end.set()
    stuck.service.wait_until_loaded()
    may_end = threading.Event()
    work = stuck.champion.device.submit(may_end.wait)
    assert stuck.client.get("/health").status_code == 200
    assert stuck.client.post("/setup", json=SETUP).status_code == 200
    assert not work.done()
    may_end.set()


def test_an_error_of_ours_never_shows_its_words(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("s3cret pixels")

    monkeypatch.setattr(Service, "predict", broken)
    quiet = TestClient(client.app, raise_server_exceptions=False)
    response = quiet.post("/predict", json={"tasks": []})
    assert response.status_code == 500
    assert "s3cret" not in response.text + client.get("/status").text
    (entry,) = client.get("/status").json()["journal"]
    assert entry["reason"] == "internal error: RuntimeError"


def test_the_status_page_is_for_people_and_for_scripts(client: TestClient) -> None:
    client.post("/setup", json=SETUP)
    broken = b"{<script>alert(1)</script>"
    client.post("/predict", content=broken, headers={"Content-Type": "application/json"})
    page = client.get("/status", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert "http://ls:8080" in page.text
    assert "Invalid JSON" in page.text
    assert "<script" not in page.text
    assert "t0ken" not in page.text + client.get("/status").text
    assert client.get("/", follow_redirects=False).headers["location"] == "/status"


def test_the_starter_says_that_it_is_one(client: TestClient) -> None:
    note = client.get("/status").json()["model"]["note"]
    assert "starter" in note
    assert "sam-backend models pull vit_b" in note


def test_basic_auth_by_setting(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, basic_auth_user="ann", basic_auth_password="secret")
    with running_service(tmp_path) as service:
        client = TestClient(create_app(service, settings))
        assert client.get("/health").status_code == 200
        assert client.post("/setup", json=SETUP).status_code == 401
        assert client.post("/setup", json=SETUP, auth=("ann", "secret")).status_code == 200


def test_a_predict_says_where_its_time_went(client: TestClient) -> None:
    response = client.post("/predict", json={"tasks": []})
    assert response.json() == {"results": []}
    assert response.headers["server-timing"].startswith("json;dur=")
