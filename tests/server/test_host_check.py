"""Pages that point their own name at this machine are refused, and the remedy is told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sam_backend.doctor import Backend
from sam_backend.doctor.backend import reachable
from sam_backend.server.app import create_app
from sam_backend.server.host_check import host_name, is_inner_name
from sam_backend.server.service import Service
from sam_backend.settings import Settings
from tests.server.playing import running_service, serving


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
