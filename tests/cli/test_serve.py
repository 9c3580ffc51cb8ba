"""`sam-backend serve` as a process: it starts with defaults, and ends as told."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from sam_backend.cli.launching import ALLOCATOR_TUNING
from sam_backend.labelstudio.server_process import ServerProcess, bare_environment, free_port

SETUP = {"project": "1.5", "schema": "", "hostname": "http://ls:8080", "access_token": "t"}


def server(folder: Path, port: int, **settings: str) -> ServerProcess:
    return ServerProcess(
        "the backend",
        [sys.executable, "-m", "sam_backend.cli.main", "serve", "--port", str(port)],
        f"http://127.0.0.1:{port}/ready",
        folder / "backend.log",
        {"SAM_BACKEND_DATA_DIR": str(folder)} | settings,
        cwd=folder,
    )


@pytest.mark.parametrize("tuned", ["true", "false"])
def test_it_serves_and_tunes_the_allocator_by_setting(tmp_path: Path, tuned: str) -> None:
    port = free_port()
    with server(tmp_path, port, SAM_BACKEND_TUNE_ALLOCATOR=tuned) as running:
        assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
        environment = Path(f"/proc/{running.pid}/environ").read_bytes().decode().split("\0")
        is_tuned = {f"{k}={v}" for k, v in ALLOCATOR_TUNING.items()} <= set(environment)
        assert is_tuned == (tuned == "true")
    assert "This is the small starter model" in (tmp_path / "backend.log").read_text()


def test_kill_9_forgets_no_label_studio(tmp_path: Path) -> None:
    port = free_port()
    with server(tmp_path, port) as running:
        httpx.post(f"http://127.0.0.1:{port}/setup", json=SETUP).raise_for_status()
        assert running.pid is not None
        subprocess.run(["kill", "-9", str(running.pid)], check=True)
    with server(tmp_path, port):
        projects = httpx.get(f"http://127.0.0.1:{port}/status").json()["projects"]
    assert projects == {"1.5": ["http://ls:8080"]}


def test_a_broken_database_costs_the_retrainings_alone(tmp_path: Path) -> None:
    (tmp_path / "sam_backend.db").write_bytes(b"this is no database" * 1000)
    port = free_port()
    with server(tmp_path, port):
        status = httpx.get(f"http://127.0.0.1:{port}/status").json()
        pressed = {"action": "START_TRAINING", "project": {"id": 1}}
        answer = httpx.post(f"http://127.0.0.1:{port}/webhook", json=pressed)
    assert status["model"]["state"] == "ready"
    assert "file is not a database" in status["jobs_failure"]
    assert "file is not a database" in status["journal"][0]["reason"]
    assert answer.is_error
    assert "file is not a database" in answer.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_told(tmp_path: Path, number: signal.Signals) -> None:
    running = server(tmp_path, free_port())
    with running:
        process = running._process
        assert process is not None
        process.send_signal(number)
        process.wait(20)
    assert "Traceback" not in running.log_tail(50)


@pytest.mark.parametrize(
    ("settings", "arguments", "code", "says"),
    [
        ({}, ["--model", "nope"], 1, "no model 'nope' in the store"),
        ({}, ["--device", "abacus"], 2, "not 'abacus'"),
        ({"SAM_BACKEND_PORT": "many"}, [], 2, "setting port: Input should be a valid integer"),
        ({"REDIS_URL": "secret://x"}, [], 2, "the Redis URL must look like"),
    ],
)
def test_a_wrong_setting_is_named_without_a_traceback(
    tmp_path: Path, settings: dict[str, str], arguments: list[str], code: int, says: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "sam_backend.cli.main", "serve", *arguments],
        env=bare_environment() | {"SAM_BACKEND_DATA_DIR": str(tmp_path)} | settings,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == code
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "secret" not in ended.stderr
