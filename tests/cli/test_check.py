"""What the command prints and how it exits."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from sam_backend.cli.check import check
from sam_backend.errors import LabelStudioError
from sam_backend.labelstudio.api.connections import Connections
from tests.canned_server import CannedServer, canned_server

TOKEN = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def studio() -> Iterator[CannedServer]:
    routes = {
        "GET /api/version/": (200, {"release": "1.23.2"}),
        "GET /api/current-user/whoami": (401, {"detail": f"Invalid token. [{TOKEN}]"}),
        "POST /api/token/refresh": (401, {}),
    }
    with canned_server(routes) as server:
        yield server


def run(*arguments: str, **environment: str) -> Result:
    app = Typer()
    app.command()(check)
    backend = ["--backend-url", "http://127.0.0.1:9"]
    return CliRunner().invoke(app, [*backend, *arguments], env=environment)


def test_a_person_reads_signs_and_fixes(studio: CannedServer) -> None:
    result = run("--url", studio.url, "--project", "3", LABEL_STUDIO_API_KEY=TOKEN)
    assert result.exit_code == 1
    assert "✓ Label Studio  version 1.23.2" in result.stdout
    assert "✗ token  the legacy token is refused with 401: Invalid token. […]" in result.stdout
    assert "    → create a personal access token" in result.stdout
    assert TOKEN not in result.output


def test_a_script_reads_json(studio: CannedServer) -> None:
    result = run("--url", studio.url, "--project", "3", "--token", TOKEN, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["ok"] is False
    assert report["findings"][0] == {
        "name": "Label Studio",
        "status": "ok",
        "seen": f"version 1.23.2 at {studio.url}",
        "fix": "",
    }
    assert TOKEN not in result.output


def test_the_address_may_come_from_the_environment(studio: CannedServer) -> None:
    result = run("--project", "3", LABEL_STUDIO_URL=studio.url, LABEL_STUDIO_API_KEY=TOKEN)
    assert "✓ Label Studio" in result.stdout
    (request,) = studio.asked("GET /api/current-user/whoami")
    assert request.authorization == f"Token {TOKEN}"


@pytest.mark.parametrize("environment", [{}, {"LABEL_STUDIO_URL": ""}])
def test_no_address_at_all(environment: dict[str, str]) -> None:
    result = run("--project", "3", **environment)
    assert isinstance(result.exception, LabelStudioError)
    assert "set LABEL_STUDIO_URL" in str(result.exception)


def test_a_connected_backend_knows_address_and_token(studio: CannedServer, tmp_path: Path) -> None:
    """As `serve` keeps them from /setup; another project of that number elsewhere is not meant."""
    kept = Connections(tmp_path / "connections.json")
    kept.remember("3.111", studio.url, TOKEN)
    served = {"SAM_BACKEND_DATA_DIR": str(tmp_path), "SAM_BACKEND_LABEL_STUDIO_HOSTS": "127.0.0.1"}
    result = run("--project", "3", **served)
    assert "✗ token  the legacy token is refused with 401" in result.stdout
    kept.remember("3.222", "http://127.0.0.1:9", "f" * 40)
    run("--url", studio.url, "--project", "3", **served)
    asked = studio.asked("GET /api/current-user/whoami")
    assert [request.authorization for request in asked] == [f"Token {TOKEN}"] * 2
