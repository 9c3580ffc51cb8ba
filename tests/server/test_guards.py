"""What a request has to pass: its Host name, its size, its password."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from sam_backend.doctor import Backend
from sam_backend.doctor.backend import reachable
from sam_backend.labelstudio.api.event_secret import HEADER, event_secret
from sam_backend.server.app import create_app
from sam_backend.server.guards import BasicAuth, BodyLimit, host_name, is_inner_name
from sam_backend.server.service import Service
from sam_backend.settings import Settings
from tests.server.playing import running_service, serving

PATHS = ("/health", "/ready", "/status", "/webhook")
SECRET = event_secret("ann", "pässword:with:colons")


@pytest.mark.parametrize(
    "header",
    [
        "localhost:9090",
        "127.0.0.1",
        "[::1]:9090",
        "192.168.1.5:9090",
        "93.184.215.14",
        "backend:9090",  # docker/compose.yaml
        "sam.default.svc.cluster.local",
        "host.docker.internal:9090",
        "LOCALHOST.",
    ],
)
def test_what_is_met_on_the_first_day_is_allowed(header: str) -> None:
    assert is_inner_name(host_name(header))


@pytest.mark.parametrize(
    "header", ["evil.example", "127.0.0.1.nip.io:9090", "localhost.evil.com", "", "[bad", "a.b:x"]
)
def test_names_that_anybody_can_own_are_not(header: str) -> None:
    assert not is_inner_name(host_name(header))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("served")) as running:
        yield running


def client(service: Service, folder: Path, **settings: Any) -> TestClient:
    return TestClient(create_app(service, Settings(data_dir=folder, **settings)))


def test_a_refusal_names_the_remedy_where_people_look(service: Service, tmp_path: Path) -> None:
    asking = client(service, tmp_path)
    for path in ("/health", "/setup", "/predict", "/webhook", "/status"):
        answer = asking.request("POST", path, headers={"Host": "sam.example.org:9090"}, json={})
        assert answer.status_code == 403
        assert "SAM_BACKEND_ALLOWED_HOSTS=sam.example.org" in answer.text
    entry = asking.get("/status").json()["journal"][0]
    assert entry["subject"] == "called as 'sam.example.org'"
    assert "SAM_BACKEND_ALLOWED_HOSTS=sam.example.org" in entry["reason"]
    twice = [("Host", "localhost"), ("Host", "evil.example")]
    assert asking.get("/health", headers=twice).status_code == 403


@pytest.mark.parametrize(
    "settings",
    [
        {"allowed_hosts": "other.example, *.example.org"},
        {"allowed_hosts": "*"},
        {"host": "sam.example.org"},
        {"basic_auth_user": "ann", "basic_auth_password": "secret"},
    ],
)
def test_allowed_names(service: Service, tmp_path: Path, settings: dict[str, str]) -> None:
    asking = client(service, tmp_path, **settings)
    for host in ("sam.example.org", "SAM.example.org:80"):
        answer = asking.get("/status", headers={"Host": host}, auth=("ann", "secret"))
        assert answer.status_code == 200


def test_check_names_the_remedy(service: Service, tmp_path: Path) -> None:
    app = create_app(service, Settings(data_dir=tmp_path))

    async def behind_a_name(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":  # as if the address had this name
            scope["headers"] = [(b"host", b"sam.example.org")]
        await app(scope, receive, send)

    with serving(behind_a_name) as url:
        (finding,) = reachable(Backend(url))
    assert finding.status == "fail"
    assert "SAM_BACKEND_ALLOWED_HOSTS=127.0.0.1" in finding.fix


@pytest.fixture
def with_limit() -> TestClient:
    async def count(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    app = Starlette(routes=[Route("/", count, methods=["POST"])])
    app.add_middleware(BodyLimit, max_bytes=100)
    return TestClient(app)


def _chunks(n_bytes: int) -> Iterator[bytes]:
    yield from (b"x" * 10 for _ in range(n_bytes // 10))


def test_a_body_at_the_limit_passes(with_limit: TestClient) -> None:
    assert with_limit.post("/", content=b"x" * 100).text == "100"


@pytest.mark.parametrize("body", [b"x" * 101, "chunked"])
def test_a_body_over_the_limit_is_refused(with_limit: TestClient, body: bytes | str) -> None:
    content = _chunks(110) if isinstance(body, str) else body
    response = with_limit.post("/", content=content)
    assert response.status_code == 413
    assert "over 100 bytes" in response.text


@pytest.fixture
def with_password() -> TestClient:
    async def answer(_: object) -> PlainTextResponse:
        return PlainTextResponse("in")

    app = Starlette(routes=[Route(path, answer) for path in PATHS])
    app.add_middleware(BasicAuth, user="ann", password="pässword:with:colons")
    return TestClient(app)


def _basic(text: str, encoding: str = "utf-8") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode(encoding)).decode()}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/health", {}, 200),
        ("/ready", {}, 200),
        ("/status", {}, 401),
        ("/status", _basic("ann:pässword:with:colons"), 200),
        ("/status", _basic("ann:pässword:with:colons", "latin-1"), 200),  # as Label Studio sends
        ("/status", _basic("ann:pÃ¤ssword:with:colons"), 401),
        ("/status", _basic("ann:pässword:with:colons", "utf-16"), 401),
        ("/status", _basic("ann:wrong"), 401),
        ("/status", _basic("ann:"), 401),
        ("/status", {"Authorization": "Basic not-base64!"}, 401),
        ("/status", {"Authorization": "Bearer abc"}, 401),
        ("/webhook", {}, 401),
        ("/webhook", _basic("ann:pässword:with:colons"), 200),
        ("/webhook", {HEADER: SECRET}, 200),
        ("/webhook", {HEADER: SECRET[:-1]}, 401),
        ("/webhook", {HEADER: ""}, 401),
        ("/status", {HEADER: SECRET}, 401),
    ],
)
def test_who_gets_in(
    with_password: TestClient, path: str, headers: dict[str, str], status: int
) -> None:
    response = with_password.get(path, headers=headers)
    assert response.status_code == status
    assert ("www-authenticate" in response.headers) == (status == 401)


def test_a_password_that_label_studio_cannot_send(caplog: pytest.LogCaptureFixture) -> None:
    app = Starlette(routes=[Route("/status", lambda _: PlainTextResponse("in"))])
    app.add_middleware(BasicAuth, user="ann", password="пароль")
    client = TestClient(app)
    assert client.get("/status", headers=_basic("ann:пароль")).status_code == 200
    assert client.get("/status", headers=_basic("ann:?")).status_code == 401
    assert "latin-1" in caplog.text
    assert "пароль" not in caplog.text
