"""What label-studio-sdk may do with our connections: nothing that carries the token elsewhere."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sam_backend.errors import LabelStudioError, LabelStudioUnavailableError
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.api.people import users
from sam_backend.labelstudio.api.predictions import delete_prediction
from sam_backend.labelstudio.api.projects import Projects
from tests.labelstudio.api.test_client import LEGACY, PERSONAL, jwt
from tests.labelstudio.web import Web, redirect, send, serve

ACCESS = jwt(token_type="access", exp=1300, iat=1000)

Call = Callable[[LabelStudioClient], Any]
BY_SDK: list[Call] = [
    lambda client: client.project(3),
    lambda client: client.titles(),
    lambda client: client.change_project(3, title="cups"),
    lambda client: delete_prediction(client, 3),
]
OWN: list[Call] = [lambda client: client.task(3)]
PATHS = ("/api/projects/3/", "/api/projects/", "/api/predictions/3/", "/api/tasks/3/")


@pytest.fixture(params=[LEGACY, PERSONAL], ids=["legacy", "personal"])
def token(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def studio() -> Iterator[Web]:
    with serve() as web:
        web.replies["/api/token/refresh"] = send(200, json.dumps({"access": ACCESS}).encode())
        yield web


def answering(web: Web, status: int, body: bytes = b"") -> None:
    web.replies |= dict.fromkeys(PATHS, send(status, body))


@pytest.mark.parametrize("call", [*BY_SDK, *OWN])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(studio: Web, token: str, call: Call, status: int) -> None:
    with serve() as other:
        studio.replies |= dict.fromkeys(PATHS, redirect(f"{other.url}/stolen", status))
        host = LabelStudioHost(studio.url, token)
        with LabelStudioClient(host) as client, pytest.raises(LabelStudioError, match="a redirect"):
            call(client)
        assert other.requests == []


@pytest.mark.parametrize("call", [*BY_SDK, *OWN])
def test_no_proxy_of_the_environment_is_used(
    studio: Web, token: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(studio, 200, b'{"id": 3, "results": []}')
    with serve() as proxy:
        for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", "of-another-label-studio")
        with LabelStudioClient(LabelStudioHost(studio.url, token)) as client:
            call(client)
        assert proxy.requests == []
    assert studio.requests


@pytest.mark.parametrize("call", [*BY_SDK, *OWN])
@pytest.mark.parametrize("status", [200, 400, 401, 403, 500])
def test_the_token_is_in_no_log_and_no_error(
    studio: Web,
    token: str,
    call: Call,
    status: int,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sam_backend.labelstudio.api.guarded_http._PAUSES_S", ())
    caplog.set_level(logging.DEBUG)
    words = json.dumps({"detail": f"{token} and {ACCESS} are no good"}).encode()
    answering(studio, status, b'{"id": 3, "results": []}' if status == 200 else words)
    told = ""
    with LabelStudioClient(LabelStudioHost(studio.url, token)) as client:
        try:
            call(client)
        except LabelStudioError as error:
            told = f"{error!r} {error} {error.__cause__!r}"
        assert (told == "") == (status == 200)
        told += repr(client) + repr(client._sdk) + caplog.text + "".join(capfd.readouterr())
    for secret in (token, ACCESS):
        assert secret not in told


def test_the_sdk_has_no_token_and_says_nothing_of_this_machine(studio: Web) -> None:
    answering(studio, 200, b'{"id": 3}')
    with LabelStudioClient(LabelStudioHost(studio.url, LEGACY)) as client:
        assert client.project(3) == {"id": 3}
        assert LEGACY not in str(vars(client._sdk._client_wrapper._tokens_client))
    (request,) = studio.requests
    assert request.headers["Authorization"] == f"Token {LEGACY}"
    assert not [name for name in request.headers if name.lower().startswith("x-fern")]


def test_the_sdk_sends_no_empty_token(studio: Web) -> None:
    answering(studio, 200, b'{"id": 3}')
    with LabelStudioClient(LabelStudioHost(studio.url)) as client:
        client.project(3)
    assert studio.authorizations() == [None]


def test_the_token_does_not_leave_the_origin(studio: Web, token: str) -> None:
    """Whatever address a call is made with."""
    with serve() as other, LabelStudioClient(LabelStudioHost(studio.url, token)) as client:
        other.replies["/api/version/"] = send(401, b"{}")
        assert client._http.plain("GET", f"{other.url}/api/version/").status_code == 401
        assert other.authorizations() == [None]
    assert studio.requests == []


def test_a_token_that_is_refused_is_renewed_for_the_sdk_too(studio: Web) -> None:
    answers = iter([send(401, b"{}"), send(200, b'{"id": 3}')])
    studio.replies["/label-studio/api/projects/3/"] = lambda handler: next(answers)(handler)
    tokens = iter([ACCESS, jwt(token_type="access", exp=1301, iat=1001)])
    studio.replies["/label-studio/api/token/refresh"] = lambda handler: send(
        200, json.dumps({"access": next(tokens)}).encode()
    )(handler)
    with LabelStudioClient(LabelStudioHost(f"{studio.url}/label-studio", PERSONAL)) as client:
        assert client.project(3) == {"id": 3}
    # nothing goes to another application beside Label Studio's sub-path
    assert all(request.path.startswith("/label-studio/") for request in studio.requests)
    assert not any(PERSONAL in str(header) for header in studio.authorizations())


def test_what_the_sdk_asks_is_asked_again_if_it_only_reads(studio: Web) -> None:
    answers = iter([send(500), send(503), send(200, b'{"id": 3}'), send(500)])
    studio.replies["/api/projects/3/"] = lambda handler: next(answers)(handler)
    with LabelStudioClient(LabelStudioHost(studio.url, LEGACY)) as client:
        assert client.project(3) == {"id": 3}
        with pytest.raises(LabelStudioUnavailableError, match=r"PATCH /api/projects/3/ .* 500"):
            client.change_project(3, title="cups")
    assert [request.method for request in studio.requests] == ["GET"] * 3 + ["PATCH"]


@pytest.mark.parametrize("body", [b"", b"[]", b"3", b'"text"', b"null", b"<html>", b"[1]"])
def test_answers_that_the_sdk_cannot_read_are_errors(studio: Web, body: bytes) -> None:
    answering(studio, 200, body)
    studio.replies["/api/users/"] = send(200, body)
    with LabelStudioClient(LabelStudioHost(studio.url, LEGACY)) as client:
        with pytest.raises(LabelStudioError):
            client.project(3)
        if body != b"[]":
            for call in (users, LabelStudioClient.titles):
                with pytest.raises(LabelStudioError):
                    call(client)


def test_json_comes_unaltered(studio: Web) -> None:
    """Fields that the SDK's models do not know, and times as Label Studio writes them."""
    record = {"id": 3, "created_at": "2026-12-01T10:00:00.123456Z", "new": {"a": [None, 1.50]}}
    answering(studio, 200, json.dumps(record).encode())
    with LabelStudioClient(LabelStudioHost(studio.url, LEGACY)) as client:
        assert client.project(3) == record


@pytest.mark.parametrize("n_projects", [0, 3, 100, 250])
def test_all_pages_are_searched_and_none_is_asked_beyond(studio: Web, n_projects: int) -> None:
    found = [{"id": number, "title": f"project {number}"} for number in range(1, n_projects + 1)]

    def page(handler: BaseHTTPRequestHandler) -> None:
        number = int(parse_qs(urlsplit(handler.path).query)["page"][0])
        results = found[(number - 1) * 100 : number * 100]
        send(200, json.dumps({"count": n_projects, "results": results}).encode())(handler)

    studio.replies["/api/projects/"] = page
    with Projects(studio.url, LEGACY) as projects:
        assert projects.find("project 250") == (250 if n_projects == 250 else None)
    assert len(studio.requests) == max(1, -(-n_projects // 100))


def test_opening_a_client_imports_no_sdk() -> None:
    code = (
        "import sys; from sam_backend.labelstudio.api.client import LabelStudioClient as C;"
        "from sam_backend.labelstudio.api.hosts import LabelStudioHost as H;"
        "C(H('http://localhost:1'));"
        "sys.exit('label_studio_sdk' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_sdk_brings_no_pandas() -> None:
    code = (
        "import sys; from sam_backend.labelstudio.api.client import LabelStudioClient as C;"
        "from sam_backend.labelstudio.api.hosts import LabelStudioHost as H;"
        "C(H('http://localhost:1'))._sdk.projects;"
        "sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
