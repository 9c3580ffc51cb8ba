"""The server's own worker process: one that fails is not started again and again."""

import subprocess
import sys
import threading
import time

import pytest

from sam_backend.cli.process_setup import leave_with_parent
from sam_backend.jobs.subprocess_worker import OwnWorker


def test_after_a_worker_that_failed_it_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM_BACKEND_DATABASE_URL", "mysql://host/name")
    looks: list[int] = []
    told: list[str] = []
    failed = threading.Event()

    def is_waiting() -> bool:
        looks.append(1)
        return True

    def tell(subject: str, reason: str) -> None:
        told.append(f"{subject}: {reason}")
        failed.set()

    own = OwnWorker(is_waiting, ["--device", "cpu"], tell, poll_s=0.01, rest_s=1000)
    own.start()
    assert failed.wait(60)
    time.sleep(0.2)  # twenty looks without the rest
    own.close()
    assert len(looks) == 1
    assert told == ["retraining: the worker process ended with 2, see the log"]


def test_a_worker_leaves_whose_server_ended_while_it_was_starting() -> None:
    """It takes seconds to load torch, and by then belongs to another parent."""
    server = subprocess.Popen([sys.executable, "-c", ""])
    server.wait()
    left = threading.Event()
    leave_with_parent(server.pid, left.set)
    assert left.wait(30)
