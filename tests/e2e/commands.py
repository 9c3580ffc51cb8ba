"""`sam-backend` commands of other processes on a running backend's data folder."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from sam_backend.labelstudio.local_server import LocalLabelStudio
from sam_backend.labelstudio.server_process import bare_environment

T = TypeVar("T")


def settings_of(server: LocalLabelStudio) -> dict[str, str]:
    """What tells a command where Label Studio is, and its administrator's token."""
    return {"LABEL_STUDIO_URL": server.url, "LABEL_STUDIO_API_KEY": server.account.token}


def command(
    folder: Path, *arguments: str, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    own = {"SAM_BACKEND_DATA_DIR": str(folder)} | dict(settings or {})
    return subprocess.run(
        [sys.executable, "-m", "sam_backend.cli.main", *arguments],
        env=bare_environment() | own,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def done(folder: Path, *arguments: str, settings: Mapping[str, str] | None = None) -> str:
    """What a command that must succeed writes to stdout."""
    ended = command(folder, *arguments, settings=settings)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def listed(folder: Path, what: str) -> list[dict[str, Any]]:
    """What `sam-backend <what> list` shows."""
    return json.loads(done(folder, what, "list", "--json"))


def eventually(ask: Callable[[], T | None], patience_s: float = 300.0, poll_s: float = 0.3) -> T:
    """The first answer that is true; a busy machine may let one wait."""
    deadline = time.monotonic() + patience_s
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"not within {patience_s:.0f} s"
        time.sleep(poll_s)
    return answer
