"""A real PostgreSQL server for tests: a private cluster in a temporary folder."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.system_packages import POSTGRESQL

PASSWORD = "p@ss/w:rd"
URL_PASSWORD = "p%40ss%2Fw%3Ard"
ACCOUNT = "postgres"  # Debian's package makes it


class PostgresqlServer:
    """A cluster on a free port of this machine; user "sam" must give a password.

    Args:
        folder: Scratch folder, which the server's user may enter.
    """

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._folder = folder
        self._binaries = POSTGRESQL.require().resolve().parent
        self._schemas = 0
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        """The address of a database, as a user writes it."""
        return f"postgresql://sam:{URL_PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_schema(self) -> str:
        """The address of an empty schema: as good as a database of its own, and made at once."""
        self._schemas += 1
        name = f"test_{self._schemas}"
        with self._connect() as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return self.url("postgres") + f"?options=-csearch_path%3D{name}"

    def start(self) -> None:
        """Starts it, on the data of the last time, and waits until it answers."""
        cluster = self._folder / "cluster"
        if not cluster.exists():
            self._make(cluster)
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "fsync": "off",
            "unix_socket_directories": self._folder,
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [self._binaries / "postgres", "-D", cluster, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            **self._account(),
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                self._connect().close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Ends the server at once, with all its connections; the files are no longer needed."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=5)

    def _make(self, cluster: Path) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (self._folder, password):
                shutil.chown(path, ACCOUNT, ACCOUNT)
        words = ["-U", "sam", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]
        subprocess.run(
            [self._binaries / "initdb", "-D", cluster, *words, "-E", "UTF8", "--locale=C"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._folder,
            **self._account(),
        )

    def _account(self) -> dict[str, Any]:
        """Who runs the programs: they refuse to run as root."""
        if os.geteuid() != 0:
            return {}
        return {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": []}


@contextmanager
def running_postgresql() -> Iterator[PostgresqlServer]:
    """A started server; the test is skipped where it is missing, and fails in CI."""
    POSTGRESQL.require()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = PostgresqlServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
