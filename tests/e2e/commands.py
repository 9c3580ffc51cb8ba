"""`sam-backend` commands on a running backend's data folder, of other processes and of this one."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from sam_backend.cli.main import main
from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.demo.server_process import bare_environment

T = TypeVar("T")


def settings_of(server: LocalLabelStudio) -> dict[str, str]:
    """What tells a command where Label Studio is, and its administrator's token."""
    return {"LABEL_STUDIO_URL": server.url, "LABEL_STUDIO_API_KEY": server.account.token}


def command(
    folder: Path, *arguments: str, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "sam_backend.cli.main", *arguments],
        env=_environment(folder, settings),
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


def command_inside(
    folder: Path, *arguments: str, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`command` in this process, which need not import torch again.

    For commands of which neither the process is the point nor the speed: the allocator is not
    tuned, which would start this process anew.
    """
    environment = _environment(folder, settings) | {"SAM_BACKEND_TUNE_ALLOCATOR": "false"}
    code: Any = 0
    with (
        patch.dict(os.environ, environment, clear=True),
        patch.object(sys, "argv", ["sam-backend", *arguments]),
        chdir(folder),
        redirect_stdout(io.StringIO()) as out,
        redirect_stderr(io.StringIO()) as complaints,
    ):
        try:
            main()
        except SystemExit as ending:
            code = ending.code or 0
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), complaints.getvalue())


def inside(folder: Path, *arguments: str, settings: Mapping[str, str] | None = None) -> str:
    """`done` in this process, see `command_inside`."""
    ended = command_inside(folder, *arguments, settings=settings)
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


def _environment(folder: Path, settings: Mapping[str, str] | None) -> dict[str, str]:
    return bare_environment() | {"SAM_BACKEND_DATA_DIR": str(folder)} | dict(settings or {})
