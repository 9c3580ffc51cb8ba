"""A child server with real processes: healthy, dead, deaf to SIGTERM, and with children."""

import os
import sys
import time
from pathlib import Path

import pytest

from sam_backend.demo.server_process import (
    ServerProcess,
    ServerProcessError,
    bare_environment,
    free_port,
)

SERVE = """
import http.server, sys
http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind="127.0.0.1")
"""
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + SERVE
WITH_CHILD = (
    """
import subprocess
print("child", subprocess.Popen(["sleep", "600"]).pid, flush=True)
"""
    + SERVE
)


def server(code: str, folder: Path) -> ServerProcess:
    port = free_port()
    return ServerProcess(
        "the server",
        [sys.executable, "-c", code, str(port)],
        f"http://127.0.0.1:{port}/",
        folder / "server.log",
        cwd=folder,
    )


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("code", [SERVE, DEAF])
def test_it_runs_until_it_is_stopped(code: str, tmp_path: Path) -> None:
    process = server(code, tmp_path)
    process.start()
    process.wait_until_healthy(30)
    pid = process.pid
    assert pid is not None
    assert process.is_running

    process.stop(grace_s=0.5)

    assert not process.is_running
    assert not is_alive(pid)
    process.stop()  # a second time is harmless


def test_stopping_takes_the_servers_own_children_along(tmp_path: Path) -> None:
    with server(WITH_CHILD, tmp_path) as process:
        child = int(process.log_tail(1000).split()[1])
        assert is_alive(child)
    deadline = time.monotonic() + 10
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(child)


def test_a_death_is_told_with_its_last_words(tmp_path: Path) -> None:
    process = server("print('no port left'); raise SystemExit(3)", tmp_path)
    process.start()
    with pytest.raises(ServerProcessError, match=r"exit code 3(.|\n)*no port left"):
        process.wait_until_healthy(30)
    with pytest.raises(ServerProcessError, match="has ended"):
        process.check_alive()


def test_silence_is_told_after_the_time_limit(tmp_path: Path) -> None:
    waits: list[float] = []
    process = server("import time; time.sleep(60)", tmp_path)
    process.start()
    try:
        with pytest.raises(ServerProcessError, match="not healthy after 1 s"):
            process.wait_until_healthy(1, waits.append, poll_s=0.1)
    finally:
        process.stop()
    assert waits == sorted(waits)
    assert len(waits) > 1


def test_a_child_sees_no_token_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "a-secret")
    monkeypatch.setenv("SOME_CLOUD_TOKEN", "a-secret")
    process = server("import os; print(sorted(os.environ.items()))", tmp_path)
    process.start()
    with pytest.raises(ServerProcessError, match="PATH") as death:
        process.wait_until_healthy(30)
    assert "a-secret" not in str(death.value)
    assert bare_environment({"PATH": "/bin", "AWS_SECRET": "x"}) == {"PATH": "/bin"}
    assert os.environ["SOME_CLOUD_TOKEN"] == "a-secret"
