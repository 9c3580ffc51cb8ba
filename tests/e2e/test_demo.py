"""`sam-backend demo` as a newcomer meets it: start, look, Ctrl-C, start again."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sam_backend.labelstudio.api.projects import Projects

pytestmark = pytest.mark.e2e


class RunningDemo:
    """A demo that has said it is ready.

    Attributes:
        url: Origin of its Label Studio.
        project: Id of its project.
        ports: TCP ports of Label Studio and the backend.
        screen: What it printed on stdout.
    """

    def __init__(self, process: subprocess.Popen[bytes], screen: str) -> None:
        self.process, self.screen = process, screen
        self.url, project = re.search(r"Open (http://\S+)/projects/(\d+)/data", screen).groups()
        self.project = int(project)
        backend = re.search(r"(http://\S+)/status", screen)[1]
        self.ports = [int(address.rpartition(":")[2]) for address in (self.url, backend)]

    def press_ctrl_c(self) -> int:
        """Interrupt it and wait; its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@contextmanager
def running_demo(folder: Path, label_studio_program: Path) -> Iterator[RunningDemo]:
    """Start the demo on a folder and wait until it is ready; ended with its children."""
    env_dir = label_studio_program.parents[1]
    command = [sys.executable, "-m", "sam_backend.cli.main", "demo"]
    options = ["--dir", str(folder), "--label-studio-env", str(env_dir)]
    environment = os.environ | {"SAM_BACKEND_DATA_DIR": str(folder / "data")}
    out, log = folder.with_suffix(".out"), folder.with_suffix(".log")
    with out.open("wb") as stdout, log.open("wb") as stderr:
        process = subprocess.Popen(
            command + options,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
    try:
        deadline = time.monotonic() + 300
        while "Ctrl-C stops everything" not in out.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield RunningDemo(process, out.read_text())
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def is_open(port: int) -> bool:
    """True where somebody listens on the loopback port."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_demo_starts_stops_and_starts_again(label_studio_program: Path, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with running_demo(folder, label_studio_program) as demo:
        check_that_it_is_ready(demo, folder)

        assert demo.press_ctrl_c() == 0
        assert not any(map(is_open, demo.ports))
        assert not _processes_naming(folder)

    with running_demo(folder, label_studio_program) as demo:
        check_that_it_is_ready(demo, folder)  # and nothing is there twice

        children = _children(demo.process.pid)
        (backend,) = [pid for pid in children if "serve" in _command(pid)]
        os.kill(backend, signal.SIGKILL)
        assert demo.process.wait(30) == 1
        assert "the backend has ended" in folder.with_suffix(".log").read_text()
        assert not any(map(is_open, demo.ports))
        assert not _processes_naming(folder)


def check_that_it_is_ready(demo: RunningDemo, folder: Path) -> None:
    """One project with six images and one interactive backend; a login that is on the screen."""
    account = json.loads((folder / "label-studio" / "account.json").read_text())
    assert account["email"] in demo.screen
    assert account["password"] in demo.screen
    assert account["token"] not in demo.screen
    with Projects(demo.url, account["token"]) as projects:
        assert len(projects.task_ids(demo.project)) == 6
        (backend,) = projects.backends(demo.project)
    assert demo.project == 1
    assert backend["is_interactive"]
    assert backend["url"].endswith(f":{demo.ports[1]}")
    assert all(map(is_open, demo.ports))
    # the person's own projects have the same numbers
    assert not (folder / "data" / "connections.json").exists()
    assert (folder / "backend" / "connections.json").exists()
    assert f"SAM_BACKEND_DATA_DIR={folder / 'backend'}" in demo.screen
    assert (folder / "backend" / "model_store").samefile(folder / "data" / "model_store")


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    except OSError:
        return []


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _processes_naming(folder: Path) -> list[int]:
    """Processes that were started with this folder in their environment or arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in text:
                found.append(int(entry.name))
    return found
