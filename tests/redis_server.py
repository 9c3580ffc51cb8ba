"""A real Redis server for tests, which can be killed and started again in the middle."""

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import AuthenticationError, Redis, RedisError

from tests.system_packages import REDIS


class RedisServer:
    """`redis-server` on a free port of this machine, without persistence.

    Attributes:
        url: Where it answers, without a password.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        """Takes a scratch folder and further command line options; does not start yet."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._folder, self._options = folder, options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it answers; after `kill` it comes back empty."""
        command = ["redis-server", "--port", str(self._port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen(
            [*command, "--appendonly", "no", *self._options],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while True:
            if self._answers():
                return
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"redis-server did not start on port {self._port}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            with Redis.from_url(self.url) as client:
                client.ping()
        except AuthenticationError:
            return True  # it answers, only not to us
        except RedisError:
            return False
        return True

    def kill(self) -> None:
        """kill -9: clients find a closed door, without a goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running_redis(*options: str) -> Iterator[RedisServer]:
    """A started server; the test is skipped where `redis-server` is missing, and fails in CI."""
    REDIS.require()
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder), *options)
        server.start()
        try:
            yield server
        finally:
            server.kill()
