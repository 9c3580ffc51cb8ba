"""Basic auth: who gets in, and what stays open."""

import base64

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from sam_backend.labelstudio.api.event_secret import HEADER, event_secret
from sam_backend.server.auth import BasicAuth

PATHS = ("/health", "/ready", "/status", "/webhook")
SECRET = event_secret("ann", "pässword:with:colons")


@pytest.fixture
def client() -> TestClient:
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
def test_who_gets_in(client: TestClient, path: str, headers: dict[str, str], status: int) -> None:
    response = client.get(path, headers=headers)
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
