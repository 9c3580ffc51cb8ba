"""The project-making calls, to a server that answers as Label Studio does."""

import re
from collections.abc import Iterator

import pytest

from sam_backend.errors import LabelStudioError
from sam_backend.labelstudio.api.projects import Projects
from tests.canned_server import CannedServer, canned_server

TOKEN = "0123456789abcdef0123456789abcdef01234567"
URL = "http://backend:9090"


def row(number: int, url: str = URL, title: str = "starter-1") -> dict[str, object]:
    return {"id": number, "url": url, "title": title}


@pytest.fixture
def studio() -> Iterator[CannedServer]:
    routes = {
        "GET /api/ml/": (200, []),
        "POST /api/ml/": (201, {"id": 9}),
        "PATCH /api/projects/3/": (200, {}),
        "GET /api/webhooks/": (200, [{"id": 5, "url": f"{URL}/webhook"}, {"id": 6, "url": "x"}]),
        **{f"DELETE /api/ml/{number}": (204, b"") for number in (1, 2)},
        "DELETE /api/webhooks/5/": (204, b""),
    }
    with canned_server(routes) as server:
        yield server


@pytest.fixture
def projects(studio: CannedServer) -> Iterator[Projects]:
    with Projects(studio.url, TOKEN) as calls:
        yield calls


@pytest.mark.parametrize(
    ("rows", "kept", "deleted"),
    [
        ([], 9, []),
        ([row(1)], 1, []),
        ([row(1), row(2)], 1, ["ml/2", "webhooks/5/"]),
        ([row(1, title="old"), row(2)], 2, ["ml/1", "webhooks/5/"]),
        ([row(1, url="http://elsewhere")], 9, ["ml/1"]),
    ],
)
def test_one_backend_is_left(
    studio: CannedServer,
    projects: Projects,
    rows: list[dict[str, object]],
    kept: int,
    deleted: list[str],
) -> None:
    studio.routes = {**studio.routes, "GET /api/ml/": (200, rows)}
    assert projects.connect_backend(3, URL, "starter-1") == kept
    gone = [one.call for one in studio.requests if one.call.startswith("DELETE")]
    assert gone == [f"DELETE /api/{path}" for path in deleted]
    [patched] = studio.asked("PATCH /api/projects/3/")
    assert patched.body == {"model_version": "starter-1"}
    assert patched.authorization == f"Token {TOKEN}"


def test_the_title_must_be_the_same(studio: CannedServer, projects: Projects) -> None:
    found = [{"id": 8, "title": "cats"}, {"id": 4, "title": "cats"}, {"id": 2, "title": "cats 2"}]
    studio.routes = {"GET /api/projects/": (200, {"results": found})}
    assert projects.find("cats") == 4
    assert projects.find("dogs") is None


def test_a_refusal_is_short_and_holds_no_token(studio: CannedServer, projects: Projects) -> None:
    studio.routes = {"POST /api/projects/": (400, {"detail": f"{TOKEN} may not {'x' * 1000}"})}
    with pytest.raises(LabelStudioError, match=re.escape("POST /api/projects/")) as caught:
        projects.create("cats", "<View/>")
    assert TOKEN not in str(caught.value)
    assert len(str(caught.value)) < 400
