"""How a long-running command starts: its allocator, its log, its place in the machine."""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from sam_backend.demo.server_process import ServerProcess, free_port
from sam_backend.program import PROGRAM
from sam_backend.settings import Settings

# Page faults of big short-lived buffers cost as much as SAM's arithmetic: with these, glibc keeps
# its pages, and encoder and decoder run about twice as fast. Read by glibc at process start only.
ALLOCATOR_TUNING = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "268435456",
}

_RESTARTED = "_SAM_BACKEND_RESTARTED"


def is_restarted() -> bool:
    """Return whether this process was started anew, or by one of ours: what was said is said."""
    return _RESTARTED in os.environ


def settings_with(model: str | None, device: str | None) -> Settings:
    """The settings, with the options of a command before the environment; None: not given."""
    given: dict[str, Any] = {"model": model, "device": device}
    return Settings(**{name: value for name, value in given.items() if value is not None})


def start_command(model: str | None = None, device: str | None = None) -> Settings:
    """Return the settings as `settings_with` does, and begin to log to stderr."""
    settings = settings_with(model, device)
    log_to_stderr(settings)
    return settings


def tune_allocator(settings: Settings) -> None:
    """Start this process anew, under the same id, with the allocator's variables set."""
    if settings.tune_allocator and not ALLOCATOR_TUNING.keys() & os.environ.keys():
        os.environ[_RESTARTED] = "1"
        command = [*PROGRAM, *sys.argv[1:]]
        os.execve(command[0], command, os.environ | ALLOCATOR_TUNING)  # noqa: S606


def keep_compiled(settings: Settings) -> None:
    """Have torch.compile keep its work in the data folder; before torch is imported."""
    if settings.compile:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(settings.data_dir / "compiled"))


def log_to_stderr(settings: Settings) -> None:
    """One line an event; no addresses with secrets in them."""
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # They log every URL and redirect with its query, where presigned addresses carry their secret.
    # Alembic tells of every opening of the database.
    for name in ("httpx", "httpcore", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def worker_name() -> str:
    """Names this process to the queue of jobs."""
    return f"{socket.gethostname()}:{os.getpid()}"


def leave_with_parent(parent: int, leave: Callable[[], None], poll_s: float = 1.0) -> None:
    """Call `leave` once the process that started this one has ended, however that came.

    Args:
        parent: Its process id, by its own word: it may have ended before this one could ask.
        leave: Called once, on another thread.
        poll_s: Seconds between two looks.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(poll_s)
        leave()

    threading.Thread(target=watch, name="parent", daemon=True).start()


@contextmanager
def ending_at_signals() -> Iterator[None]:
    """Let SIGTERM, and a terminal that is closed, end this process with its clean-up.

    Python dies of both without one. A server that handles SIGTERM itself may raise it again when
    it is done: that arrives here, too.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + signal.SIGTERM)

    def on_hangup(number: int, frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGTERM)

    handlers: dict[int, Any] = {signal.SIGTERM: on_signal}
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores it
        handlers[signal.SIGHUP] = on_hangup
    before: dict[int, Any] = {n: signal.signal(n, handler) for n, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def leaving_at_signals(
    leave: Callable[[], None], is_child: bool = False
) -> Iterator[Callable[[], bool]]:
    """Let the first SIGINT, SIGTERM or SIGHUP call `leave`, and the second one end the process.

    Args:
        leave: Called once or more.
        is_child: No number of signals ends it: the parent and whoever ends the whole group tell
            it the same, and a parent that has no more patience kills.

    Yields:
        Whether there was one.
    """
    signalled: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        signalled.append(number)
        leave()
        if not is_child:
            signal.signal(number, signal.SIG_DFL)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores it
        numbers.append(signal.SIGHUP)
    before: dict[int, Any] = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield lambda: bool(signalled)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def backend_process(folder: Path, settings: Mapping[str, str]) -> ServerProcess:
    """`sam-backend serve` as a child on a free port, not started yet; it logs to `backend.log`.

    Args:
        folder: Where it runs and logs.
        settings: Environment variables; ours are not passed on.
    """
    port = free_port()
    return ServerProcess(
        "the backend",
        [*PROGRAM, "serve", "--port", str(port)],
        f"http://127.0.0.1:{port}/ready",
        folder / "backend.log",
        settings,
        cwd=folder,
    )
