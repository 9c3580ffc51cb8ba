"""The server's own worker: a process that comes when a job waits and goes when none does."""

import logging
import os
import subprocess
import threading
from collections.abc import Callable, Sequence

from sam_backend.program import PROGRAM

log = logging.getLogger(__name__)

NICENESS = 10
"""Clicks come first: the worker gets the processor's time that the server leaves."""
POLL_S = 3.0
REST_S = 30.0
"""After a worker that failed: the next one may well fail too, and loading torch costs seconds."""
_GRACE_S = 30.0


class OwnWorker:
    """Starts `sam-backend worker --until-idle` whenever jobs wait. Close it, or use `with`.

    Several servers on one database may each start one: a job goes to one of them.

    Args:
        is_waiting: Whether some job could be claimed now.
        options: Options of `sam-backend worker`, such as what the command line gave to the server.
        tell: Told the subject and the reason of what goes wrong.
        poll_s: Seconds between two looks.
        rest_s: Seconds after a worker that failed.
    """

    def __init__(
        self,
        is_waiting: Callable[[], bool],
        options: Sequence[str] = (),
        tell: Callable[[str, str], None] = lambda subject, reason: None,
        poll_s: float = POLL_S,
        rest_s: float = REST_S,
    ) -> None:
        self._is_waiting = is_waiting
        self._options = tuple(options)
        self._tell = tell
        self._poll_s, self._rest_s = poll_s, rest_s
        self._closed = threading.Event()
        self._starting = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="own-worker", daemon=True)

    def start(self) -> None:
        """Begin to look for jobs."""
        self._thread.start()

    def leave(self) -> None:
        """Ask the worker to leave, without waiting for it; `close` does."""
        with self._starting:
            self._closed.set()
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()

    def close(self) -> None:
        """Let the worker leave; its job keeps what it has and goes back to the queue."""
        self.leave()
        if self._thread.is_alive():
            self._thread.join()
        if self._process is None:
            return
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            log.warning("the worker (process %d) does not end: killed", self._process.pid)
            self._process.kill()
            self._process.wait()

    def _run(self) -> None:
        is_well = True
        while not self._closed.wait(self._poll_s if is_well else self._rest_s):
            try:
                is_well = self._look()
            except Exception:  # a database that is away comes back
                log.exception("no worker can be started")
                is_well = False

    def _look(self) -> bool:
        """Start a worker where one is needed; false if the last one failed."""
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return True
            self._process = None
            if code:
                self._tell("retraining", f"the worker process ended with {code}, see the log")
                return False
        if self._is_waiting():
            with self._starting:
                if not self._closed.is_set():
                    self._process = self._spawn()
        return True

    def _spawn(self) -> subprocess.Popen[bytes]:
        arguments = ["worker", "--until-idle", "--nice", str(NICENESS)]
        arguments += ["--child-of", str(os.getpid()), *self._options]
        process = subprocess.Popen(  # noqa: S603  our own program
            [*PROGRAM, *arguments], stdin=subprocess.DEVNULL
        )
        log.info("a job waits: worker process %d", process.pid)
        return process
