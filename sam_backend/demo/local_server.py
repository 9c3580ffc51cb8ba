"""A private Label Studio on this machine: its environment, its start, its account, its stop."""

import json
import secrets
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from sam_backend.demo.server_process import ServerProcess, free_port
from sam_backend.errors import LabelStudioError
from sam_backend.files import replacing

LABEL_STUDIO_VERSION = "1.23.2"
"""The version that everything here is proven against."""

EMAIL = "demo@example.com"


def ensure_label_studio_env(
    env_dir: Path, on_line: Callable[[str], None] | None = None, version: str = LABEL_STUDIO_VERSION
) -> Path:
    """Make `env_dir` a virtual environment that holds Label Studio, unless it already is one.

    Label Studio pins Django, numpy, redis and more, so it never shares an environment with us.

    Args:
        env_dir: Folder of the virtual environment.
        on_line: Gets pip's progress line by line.
        version: Release of Label Studio on the package registry.

    Returns:
        The `label-studio` program.
    """
    program = env_dir / "bin" / "label-studio"
    stamp = env_dir / f".label-studio-{version}"
    if program.exists() and stamp.exists():
        return program
    python = env_dir / "bin" / "python"
    if not (env_dir / "bin" / "pip").exists():
        _run_visibly([sys.executable, "-P", "-m", "venv", str(env_dir)], on_line)
    _run_visibly([str(python), "-P", "-m", "pip", "install", f"label-studio=={version}"], on_line)
    stamp.touch()
    return program


def _run_visibly(command: list[str], on_line: Callable[[str], None] | None) -> None:
    """Run a command, hand on its output line by line; LabelStudioError if it fails."""
    lines: list[str] = []
    with subprocess.Popen(  # noqa: S603  our own command
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            for line in process.stdout or ():
                lines.append(line.rstrip())
                if on_line is not None:
                    on_line(line.rstrip())
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        tail = "\n".join(lines[-15:])
        raise LabelStudioError(f"`{' '.join(command)}` failed ({process.returncode}):\n{tail}")


@dataclass(frozen=True, slots=True)
class Account:
    """The one user of a private Label Studio; made at random once per data folder."""

    email: str = EMAIL
    password: str = field(default_factory=lambda: secrets.token_urlsafe(9), repr=False)
    token: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)

    @classmethod
    def of(cls, data_dir: Path) -> Self:
        """The account of a data folder: the stored one, or a new one that is stored."""
        path = data_dir / "account.json"
        if path.exists():
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        account = cls()
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(path, mode=0o600) as unfinished:
            unfinished.write_text(json.dumps(asdict(account)), encoding="utf-8")
        return account


class LocalLabelStudio:
    """Label Studio on a loopback port, with its own data folder and a ready-made login.

    It listens on 127.0.0.1 only: the switches that let it talk to a backend on the same machine
    also lower its protection against requests to internal addresses.

    Args:
        program: The `label-studio` executable of `ensure_label_studio_env`.
        data_dir: Database, uploads, account and log; a second start on it finds everything again.
        port: TCP port; 0 takes a free one.
        files_root: Folder that local-files storages may serve from; `data_dir/files` without.
    """

    def __init__(
        self, program: Path, data_dir: Path, port: int = 0, files_root: Path | None = None
    ) -> None:
        self.program = program
        self.data_dir = data_dir.absolute()
        self.files_root = (files_root or self.data_dir / "files").absolute()
        self.account = Account.of(self.data_dir)
        self.port = port or free_port()
        self.url = f"http://localhost:{self.port}"
        listen = ["--internal-host", "127.0.0.1", "--port", str(self.port)]
        self.process = ServerProcess(
            "Label Studio",
            [str(program), "start", "--no-browser", *listen],
            f"{self.url}/health",
            self.data_dir / "label-studio.log",
            self._environment(),
        )

    def _environment(self) -> dict[str, str]:
        return {
            "LABEL_STUDIO_BASE_DATA_DIR": str(self.data_dir),
            "LABEL_STUDIO_HOST": self.url,
            # In the environment, not in the arguments, which any user of the machine can list.
            "LABEL_STUDIO_USERNAME": self.account.email,
            "LABEL_STUDIO_PASSWORD": self.account.password,
            "LABEL_STUDIO_USER_TOKEN": self.account.token,
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            # A stock Label Studio answers 403 to a backend on this machine; both are needed.
            "LABEL_STUDIO_ML_BLOCK_LOCAL_IP": "false",
            "LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "false",
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(self.files_root),
            "COLLECT_ANALYTICS": "false",
            "LATEST_VERSION_CHECK": "false",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
        }

    @property
    def auth_headers(self) -> dict[str, str]:
        """What a REST call needs."""
        return {"Authorization": f"Token {self.account.token}"}

    def start(
        self, timeout_s: float = 300.0, on_wait: Callable[[float], None] | None = None
    ) -> None:
        """Start and wait until it serves (a new data folder takes about half a minute)."""
        self.files_root.mkdir(parents=True, exist_ok=True)
        self.process.start()
        try:
            self.process.wait_until_healthy(timeout_s, on_wait)
        except BaseException:
            self.process.stop()
            raise

    def stop(self) -> None:
        """Stop it and everything it started."""
        self.process.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


if __name__ == "__main__":  # the Makefile's way to make the environment for the tests
    ensure_label_studio_env(Path(sys.argv[1]), lambda line: print(line, flush=True))
