"""`sam-backend serve` as a process: it starts with defaults, and ends as told."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from sam_backend.cli.launching import ALLOCATOR_TUNING, backend_process
from sam_backend.cli.main import main
from sam_backend.labelstudio.server_process import ServerProcess

SETUP = {"project": "1.5", "schema": "", "hostname": "http://ls:8080", "access_token": "t"}


def server(folder: Path, **settings: str) -> ServerProcess:
    return backend_process(folder, {"SAM_BACKEND_DATA_DIR": str(folder)} | settings)


@pytest.mark.parametrize(("tuned", "number"), [("true", signal.SIGINT), ("false", signal.SIGTERM)])
def test_it_serves_with_the_allocator_of_the_setting_and_ends_when_told(
    tmp_path: Path, tuned: str, number: signal.Signals
) -> None:
    with server(tmp_path, SAM_BACKEND_TUNE_ALLOCATOR=tuned) as running:
        assert httpx.get(f"{running.origin}/health").status_code == 200
        environment = Path(f"/proc/{running.pid}/environ").read_bytes().decode().split("\0")
        is_tuned = {f"{k}={v}" for k, v in ALLOCATOR_TUNING.items()} <= set(environment)
        assert is_tuned == (tuned == "true")
        process = running._process
        assert process is not None
        process.send_signal(number)
        process.wait(20)
    log = (tmp_path / "backend.log").read_text()
    assert "This is the small starter model" in log
    assert "Traceback" not in log


def test_kill_9_forgets_no_label_studio(tmp_path: Path) -> None:
    with server(tmp_path) as running:
        httpx.post(f"{running.origin}/setup", json=SETUP).raise_for_status()
        assert running.pid is not None
        subprocess.run(["kill", "-9", str(running.pid)], check=True)
    with server(tmp_path) as running:
        projects = httpx.get(f"{running.origin}/status").json()["projects"]
    assert projects == {"1.5": ["http://ls:8080"]}


def test_a_broken_database_costs_the_retrainings_alone(tmp_path: Path) -> None:
    (tmp_path / "sam_backend.db").write_bytes(b"this is no database" * 1000)
    with server(tmp_path) as running:
        status = httpx.get(f"{running.origin}/status").json()
        pressed = {"action": "START_TRAINING", "project": {"id": 1}}
        answer = httpx.post(f"{running.origin}/webhook", json=pressed)
    assert status["model"]["state"] == "ready"
    assert "file is not a database" in status["jobs_failure"]
    assert "file is not a database" in status["journal"][0]["reason"]
    assert answer.is_error
    assert "file is not a database" in answer.text


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
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    settings: dict[str, str],
    arguments: list[str],
    code: int,
    says: str,
) -> None:
    """The program's own `main`, here; anything that it lets through would fail the test."""
    own = {"SAM_BACKEND_DATA_DIR": str(tmp_path), "SAM_BACKEND_TUNE_ALLOCATOR": "false"}
    for name, value in (own | settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["sam-backend", "serve", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr().err
    assert ended.value.code == code
    assert says in told
    assert "Traceback" not in told
    assert "secret" not in told
