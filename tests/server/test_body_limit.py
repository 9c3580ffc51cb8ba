"""The body limit counts what arrives, whatever the header claims."""

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from sam_backend.server.body_limit import BodyLimit


@pytest.fixture
def client() -> TestClient:
    async def count(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    app = Starlette(routes=[Route("/", count, methods=["POST"])])
    app.add_middleware(BodyLimit, max_bytes=100)
    return TestClient(app)


def _chunks(n_bytes: int) -> Iterator[bytes]:
    yield from (b"x" * 10 for _ in range(n_bytes // 10))


def test_a_body_at_the_limit_passes(client: TestClient) -> None:
    assert client.post("/", content=b"x" * 100).text == "100"


@pytest.mark.parametrize("body", [b"x" * 101, "chunked"])
def test_a_body_over_the_limit_is_refused(client: TestClient, body: bytes | str) -> None:
    content = _chunks(110) if isinstance(body, str) else body
    response = client.post("/", content=content)
    assert response.status_code == 413
    assert "over 100 bytes" in response.text
