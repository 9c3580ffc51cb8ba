"""Calls to a stand-in for Label Studio's API that behaves as 1.23.2 does with its two tokens."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from sam_backend.errors import ImageFetchError, LabelStudioError, LabelStudioUnavailableError
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.api.tokens import Authorization, token_kind
from sam_backend.labelstudio.images.resolver import ImageResolver
from tests.labelstudio.web import Web, redirect, send, serve

LEGACY = "0123456789abcdef" * 2 + "01234567"


def jwt(**claims: object) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256'})}.{part(claims)}.c2lnbmF0dXJl"


PERSONAL = jwt(token_type="refresh", exp=8_000_000_000, iat=1_700_000_000)


@dataclass
class Studio:
    """Which tokens are accepted, and what was exchanged."""

    web: Web
    accepted: set[str] = field(default_factory=set)
    n_exchanges: int = 0

    @property
    def host(self) -> LabelStudioHost:
        return LabelStudioHost(self.web.url, PERSONAL)

    def exchange(self, handler: BaseHTTPRequestHandler) -> None:
        refresh = json.loads(self.web.requests[-1].body)["refresh"]
        if refresh != PERSONAL:
            send(401, b'{"detail": "Token is invalid"}')(handler)
            return
        self.n_exchanges += 1
        access = jwt(token_type="access", exp=1300 + self.n_exchanges, iat=1000 + self.n_exchanges)
        self.accepted = {f"Bearer {access}"}
        send(200, json.dumps({"access": access}).encode())(handler)

    def guarded(self, body: object) -> Callable[[BaseHTTPRequestHandler], None]:
        def reply(handler: BaseHTTPRequestHandler) -> None:
            if handler.headers.get("Authorization") in self.accepted:
                send(200, body if isinstance(body, bytes) else json.dumps(body).encode())(handler)
            else:
                send(401, b'{"detail": "Invalid token."}')(handler)

        return reply


@pytest.fixture
def studio() -> Iterator[Studio]:
    with serve() as web:
        made = Studio(web)
        web.replies |= {
            "/api/token/refresh": made.exchange,
            "/api/current-user/whoami": made.guarded({"email": "a@example.com"}),
            "/a.png": made.guarded(b"image"),
        }
        yield made


def whoami(client: LabelStudioClient) -> Any:
    return client.answer("GET", "/api/current-user/whoami")


def test_legacy_token(studio: Studio) -> None:
    studio.accepted = {f"Token {LEGACY}"}
    with LabelStudioClient(LabelStudioHost(studio.web.url, LEGACY)) as client:
        assert whoami(client) == {"email": "a@example.com"}
        assert client.token_kind == "legacy"
    assert studio.n_exchanges == 0


def test_personal_token_is_exchanged_once(studio: Studio) -> None:
    with LabelStudioClient(studio.host) as client:
        for _ in range(3):
            whoami(client)
        assert client.token_kind == "personal"
    assert studio.n_exchanges == 1
    assert not any(PERSONAL in str(header) for header in studio.web.authorizations())


def test_access_token_is_renewed_before_it_expires(studio: Studio) -> None:
    now = [0.0]
    authorization = Authorization(studio.host, clock=lambda: now[0])
    for at, n_exchanges in [(0, 1), (269, 1), (271, 2)]:
        now[0] = at
        authorization.header()
        assert studio.n_exchanges == n_exchanges


def test_access_token_is_renewed_after_a_401(studio: Studio) -> None:
    with LabelStudioClient(studio.host) as client:
        whoami(client)
        studio.accepted = set()  # Label Studio was restarted with another secret
        whoami(client)
    assert studio.n_exchanges == 2


def test_images_are_fetched_with_an_exchanged_token_too(studio: Studio) -> None:
    resolver = ImageResolver(max_cached_bytes=0)
    assert resolver.fetch("/a.png", studio.host).data == b"image"
    studio.accepted = set()
    assert resolver.fetch("/a.png", studio.host).data == b"image"
    assert studio.n_exchanges == 2


def test_threads_share_one_exchange(studio: Studio) -> None:
    authorization = Authorization(studio.host)
    headers: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: headers.append(authorization.header())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert studio.n_exchanges == 1
    assert len(set(headers)) == 1


def test_an_exchange_that_is_down_is_tried_again(studio: Studio) -> None:
    """A 401 while it is down must not leave the personal token as `Token …` for ever."""
    with LabelStudioClient(studio.host) as client:
        whoami(client)
        studio.accepted = set()
        studio.web.replies["/api/token/refresh"] = send(503)
        for _ in range(2):
            with pytest.raises(LabelStudioError):
                whoami(client)
        studio.web.replies["/api/token/refresh"] = studio.exchange
        assert whoami(client) == {"email": "a@example.com"}
    assert not any(PERSONAL in str(header) for header in studio.web.authorizations())


def test_a_personal_token_is_never_sent_as_a_legacy_one(studio: Studio) -> None:
    studio.web.replies["/api/token/refresh"] = send(200, b'{"access": "nothing that is accepted"}')
    with LabelStudioClient(studio.host) as client, pytest.raises(LabelStudioError, match="401"):
        whoami(client)
    assert not any(PERSONAL in str(header) for header in studio.web.authorizations())


def test_a_refused_legacy_token_stays_refused(studio: Studio) -> None:
    """Legacy tokens are off by default in Label Studio."""
    host = LabelStudioHost(studio.web.url, LEGACY)
    with LabelStudioClient(host) as client, pytest.raises(LabelStudioError) as caught:
        whoami(client)
    assert "GET /api/current-user/whoami" in str(caught.value)
    assert "401" in str(caught.value)
    assert LEGACY not in str(caught.value)
    assert client.token_kind == "legacy"
    with pytest.raises(ImageFetchError, match=r"401.*does not accept our token"):
        ImageResolver().fetch("/a.png", host)


def test_a_refused_personal_token(studio: Studio) -> None:
    revoked = jwt(token_type="refresh", exp=2)
    host = LabelStudioHost(studio.web.url, revoked)
    with LabelStudioClient(host) as client, pytest.raises(LabelStudioError) as caught:
        whoami(client)
    assert "personal access token is refused" in str(caught.value)
    assert revoked not in str(caught.value)
    with pytest.raises(ImageFetchError, match="personal access token is refused"):
        ImageResolver().fetch("/a.png", host)


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        (LEGACY, "legacy"),
        (PERSONAL, "personal"),
        ("", "legacy"),
        ("a.b.c", "legacy"),
        ("x", "legacy"),
        (f"a.{base64.urlsafe_b64encode(b'[' * 3000).decode()}.c", "legacy"),
    ],
)
def test_token_kind(token: str, kind: str) -> None:
    assert token_kind(token) == kind


def test_no_token_sends_no_header() -> None:
    with serve() as web:
        web.replies["/api/version/"] = send(200, b'{"release": "1.23.2"}')
        with LabelStudioClient(LabelStudioHost(web.url)) as client:
            assert client.version() == {"release": "1.23.2"}
        assert web.authorizations() == [None]


@pytest.fixture
def plain() -> Iterator[tuple[Web, LabelStudioClient]]:
    with serve() as web, LabelStudioClient(LabelStudioHost(web.url, LEGACY)) as client:
        yield web, client


def test_calls(plain: tuple[Web, LabelStudioClient]) -> None:
    web, client = plain
    web.replies |= {
        "/api/tasks/5/": send(200, b'{"id": 5}'),
        "/api/ml/": send(200, b'[{"id": 1}]'),
        "/api/webhooks/": send(200, b'{"results": [{"id": 2}]}'),
        "/api/projects/3/import": send(201),
    }
    assert client.task(5) == {"id": 5}
    assert client.ml_backends(3) == [{"id": 1}]
    assert client.webhooks(3) == [{"id": 2}]
    assert client.answer("POST", "/api/projects/3/import", files={"a.png": b"bytes"}) is None
    assert [request.path for request in web.requests[1:3]] == [
        "/api/ml/?project=3",
        "/api/webhooks/?project=3",
    ]
    assert b'filename="a.png"' in web.requests[3].body
    assert b"bytes" in web.requests[3].body


def test_redirects_are_not_followed(plain: tuple[Web, LabelStudioClient]) -> None:
    """The token would go along."""
    web, client = plain
    with serve() as other:
        web.replies["/api/version/"] = redirect(f"{other.url}/api/version/")
        with pytest.raises(LabelStudioError, match=f"{other.url}/api/version/.*use that address"):
            client.version()
        assert other.requests == []


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (404, b'{"detail": "Not found."}', "Not found."),
        (500, b"<html>" + b"x" * 1000, "not as Label Studio does (1006 bytes)"),
        (400, b'{"token": "' + LEGACY.encode() + b'"}', "not as Label Studio does"),
        (400, b'{"detail": "not ' + LEGACY.encode() + b'"}', "not …"),
        (400, PERSONAL.encode(), "400"),
        (200, b"<html>", "no JSON"),
        (200, b"[]", "not an object"),
    ],
)
def test_errors_are_short_and_hold_no_token(
    plain: tuple[Web, LabelStudioClient], status: int, body: bytes, reason: str
) -> None:
    web, client = plain
    web.replies["/api/tasks/3/"] = send(status, body)
    with pytest.raises(LabelStudioError) as caught:
        client.task(3)
    text = str(caught.value)
    assert "/api/tasks/3/" in text
    assert reason in text
    assert len(text) < 400
    assert LEGACY not in text
    assert PERSONAL not in text
    assert "xxx" not in text


def test_a_redirect_to_another_machine_is_not_told(plain: tuple[Web, LabelStudioClient]) -> None:
    web, client = plain
    web.replies["/api/version/"] = redirect("http://secret.internal/s3cret")
    with pytest.raises(LabelStudioError, match="a redirect to another machine") as caught:
        client.version()
    assert "secret" not in str(caught.value)


def test_a_call_that_only_reads_is_asked_again_after_an_error_of_the_server(
    plain: tuple[Web, LabelStudioClient],
) -> None:
    """Such as 503 of a proxy while Label Studio starts."""
    web, client = plain
    answers = iter([send(500), send(503), send(200, b'{"id": 3}')])
    web.replies["/api/tasks/3/"] = lambda handler: next(answers)(handler)
    assert client.task(3) == {"id": 3}
    web.replies["/api/tasks/4/"] = send(500)
    with pytest.raises(LabelStudioUnavailableError, match="answers 500"):
        client.answer("POST", "/api/tasks/4/", json={})
    paths = [request.path for request in web.requests]
    assert (paths.count("/api/tasks/3/"), paths.count("/api/tasks/4/")) == (3, 1)


def test_nobody_listens() -> None:
    with serve() as web:
        url = web.url
    with LabelStudioClient(LabelStudioHost(url, LEGACY)) as client:
        with pytest.raises(LabelStudioError, match="GET /api/version/ at"):
            client.version()
        assert LEGACY not in repr(client)
