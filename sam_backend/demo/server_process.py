"""A server that runs as our child: its own process group, a log file, a health address."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx

from sam_backend.errors import SamBackendError

PASSED_ON = frozenset(
    # What a server needs from its parent's environment. Tokens, passwords and settings of ours
    # are not among it: a child gets only those that it is handed.
    {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER"}
    | {"LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ"}
    | {"XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"}
    | {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"}
    | {"LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OMP_WAIT_POLICY"}
    | {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_"}
)


class ServerProcessError(SamBackendError):
    """A server that we started died or did not become healthy in time."""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def bare_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The part of the environment (default: this process's) that any server may see."""
    source = os.environ if environ is None else environ
    return {name: value for name, value in source.items() if name in PASSED_ON}


class ServerProcess:
    """One server: started, watched and stopped by its process id.

    It leads a process group of its own, so that Ctrl-C in the terminal reaches only us and
    stopping it takes along whatever it started.

    Args:
        name: What messages call it, for example "Label Studio".
        command: Program and arguments.
        health_url: Answers 200 as soon as the server serves.
        log_file: Takes stdout and stderr; written anew at each start.
        extra_env: Added to `bare_environment()`.
        cwd: Working folder; ours without.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        health_url: str,
        log_file: Path,
        extra_env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.health_url = health_url
        self.log_file = log_file
        self._command = list(command)
        self._extra_env = dict(extra_env or {})
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id; None before the start and after the stop."""
        return self._process.pid if self._process else None

    @property
    def origin(self) -> str:
        """Scheme, host and port of the server."""
        parts = httpx.URL(self.health_url)
        return f"{parts.scheme}://{parts.netloc.decode()}"

    @property
    def is_running(self) -> bool:
        """True from the start until the process has ended for whatever reason."""
        return self._process is not None and self._process.poll() is None

    def log_tail(self, n_lines: int = 15) -> str:
        """The last lines that the server wrote."""
        if not self.log_file.exists():
            return ""
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-n_lines:])

    def start(self) -> None:
        """Start the process; `wait_until_healthy` tells when it serves."""
        if self.is_running:
            raise ServerProcessError(f"{self.name} already runs as process {self.pid}")
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  the caller's own command
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=bare_environment() | self._extra_env,
                cwd=self._cwd,
                start_new_session=True,
            )

    def wait_until_healthy(
        self,
        timeout_s: float = 180.0,
        on_wait: Callable[[float], None] | None = None,
        poll_s: float = 0.25,
    ) -> None:
        """Return once `health_url` answers 200; `on_wait` gets the seconds waited so far.

        Raises:
            ServerProcessError: The process ended or the time is over; it holds the log's end.
        """
        started = time.monotonic()
        with httpx.Client(timeout=2.0, trust_env=False) as client:
            while True:
                waited_s = time.monotonic() - started
                if not self.is_running:
                    raise ServerProcessError(self._obituary())
                try:
                    if client.get(self.health_url).status_code == httpx.codes.OK:
                        return
                except httpx.HTTPError:
                    pass
                if waited_s > timeout_s:
                    raise ServerProcessError(
                        f"{self.name} is not healthy after {timeout_s:.0f} s "
                        f"({self.health_url}). Its last words:\n{self.log_tail()}"
                    )
                if on_wait is not None:
                    on_wait(waited_s)
                time.sleep(poll_s)

    def check_alive(self) -> None:
        """Raise `ServerProcessError` with the log's end if the process has ended."""
        if not self.is_running:
            raise ServerProcessError(self._obituary())

    def stop(self, grace_s: float = 10.0) -> None:
        """End the process and its group: SIGTERM, after `grace_s` SIGKILL. Harmless when ended."""
        if self._process is None:
            return
        process, self._process = self._process, None
        _signal_group(process.pid, signal.SIGTERM)
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _signal_group(process.pid, signal.SIGKILL)  # also children that outlive their leader
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_until_healthy()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _obituary(self) -> str:
        code = self._process.returncode if self._process else None
        return f"{self.name} has ended (exit code {code}). Its last words:\n{self.log_tail()}"


def _signal_group(group: int, number: int) -> None:
    """Signal a process group that we started; one that is gone already is fine."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        # PermissionError: macOS says so for a group that holds only zombies.
        return
