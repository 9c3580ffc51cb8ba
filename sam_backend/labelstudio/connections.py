"""Which Label Studio a project belongs to: learnt from /setup, kept across restarts and processes.

/predict names a project (`"<id>.<created>"`) but not the server it comes from, and after a restart
of this backend an open page goes on clicking without a new /setup. So what /setup said is kept in
a file that only the owner may read (it holds access tokens) and that all server processes share.
"""

import contextlib
import fcntl
import json
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter

from sam_backend.errors import LabelStudioError
from sam_backend.labelstudio.hosts import LabelStudioHost
from sam_backend.settings import Settings

log = logging.getLogger(__name__)

# project uid -> {url: access token}
_Table = dict[str, dict[str, str]]
_TABLE = TypeAdapter(_Table)


class Connections:
    """The projects that called /setup and their Label Studio. Safe under threads and processes.

    Args:
        file: Where connections are kept, mode 0600.
        url: Overrides every hostname that Label Studio sends: one server for all projects.
        token: Overrides every access token that Label Studio sends.
    """

    def __init__(self, file: Path, url: str | None = None, token: str | None = None) -> None:
        self._file = file
        self._url = url
        self._token = token
        self._lock = threading.Lock()
        self._table: _Table = {}
        self._stamp: tuple[int, int] | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The connections that the settings' data folder keeps."""
        token = settings.label_studio_api_key
        return cls(
            settings.data_dir / "connections.json",
            settings.label_studio_url,
            None if token is None else token.get_secret_value(),
        )

    def remember(self, project: str, url: str, token: str) -> None:
        """Keep what /setup said; an unchanged connection writes nothing.

        The same project under another address but with the same token is a server that moved, and
        replaces the old address; with another token it is a second server.

        Raises:
            LabelStudioError: `url` is no http(s) address.
            OSError: It cannot be written; it is known until this process ends.
        """
        host = LabelStudioHost(url, token)
        with self._lock:
            if self._read().get(project, {}).get(host.url) == token:
                return
            self._add(project, host.url, token)  # first, so that a full disk costs no click
            with self._exclusive():
                self._read()
                self._add(project, host.url, token)
                self._write()

    def host(self, project: str) -> LabelStudioHost:
        """The Label Studio of a project.

        Raises:
            LabelStudioError: The project never called /setup, or two servers claim it.
        """
        with self._lock:
            claims = dict(self._read().get(project, {}))
        if self._url is not None:
            claimed = list(claims.items()) or [("", "")]
            same = [one for one in claimed if one[0] == self._url.rstrip("/")]
            public_url, token = (same or claimed)[-1]  # the newest
            return LabelStudioHost(self._url, self._token or token, public_url)
        if not claims:
            raise LabelStudioError(
                f"project {project!r} is unknown: open the project's model page in Label Studio "
                "(it sends /setup) or set LABEL_STUDIO_URL"
            )
        if len(claims) > 1:
            raise LabelStudioError(
                f"project {project!r} is claimed by {' and '.join(sorted(claims))}: "
                "run one backend for each, with LABEL_STUDIO_URL set; if one of them is gone, "
                f"delete {self._file} and reload the project's model page"
            )
        ((url, token),) = claims.items()
        return LabelStudioHost(url, self._token or token)

    def host_of_number(self, number: int) -> LabelStudioHost:
        """The Label Studio of a project that is known by its number only.

        Raises:
            LabelStudioError: Its token or address is unknown, or two servers have such a project.
        """
        with self._lock:
            table = self._read()
            known = [uid for uid in table if uid.partition(".")[0] == str(number)]
        if self._url is not None:
            here = [uid for uid in known if self._url.rstrip("/") in table[uid]]
            known = here or known
            # The projects of one server; a number's newest /setup comes last.
            host = self.host(known[-1] if known else str(number))
            if not host.token:
                raise LabelStudioError(
                    f"no token for project {number} of {self._url}: set LABEL_STUDIO_API_KEY, or "
                    "open the project's model page in Label Studio (it sends one)"
                )
            return host
        hosts = {(host.url, host.token): host for host in map(self.host, known)}
        if not hosts:
            raise LabelStudioError(
                f"project {number} is unknown: set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, or "
                "connect this backend to it in Label Studio (its model page sends /setup)"
            )
        if len(hosts) > 1:
            addresses = " and ".join(sorted({url for url, _ in hosts}))
            raise LabelStudioError(
                f"project {number} was set up several times, at {addresses}: set LABEL_STUDIO_URL "
                "and LABEL_STUDIO_API_KEY to say which one is meant"
            )
        return next(iter(hosts.values()))

    def projects(self) -> dict[str, list[str]]:
        """Addresses by project uid, without tokens, for the status page."""
        with self._lock:
            return {project: sorted(claims) for project, claims in self._read().items()}

    def urls_by_number(self) -> dict[int, str]:
        """Address of the Label Studio of every project that can be told by its number."""
        found = {}
        for number in self.numbers():
            with contextlib.suppress(LabelStudioError):
                found[number] = self.host_of_number(number).url
        return found

    def numbers(self) -> list[int]:
        """Of all projects that have called /setup."""
        numbers = (uid.partition(".")[0] for uid in self.projects())
        return sorted({int(number) for number in numbers if number.isdigit()})

    def _read(self) -> _Table:
        try:
            stamp = self._stamp_now()
        except OSError:  # none yet, or the folder is out of reach
            return self._table
        if stamp != self._stamp:
            try:
                self._table = _TABLE.validate_json(self._file.read_bytes())
            except (OSError, ValueError):
                log.warning("%s is unreadable; it is written anew at the next /setup", self._file)
                self._table = {}
            self._stamp = stamp
        return self._table

    def _stamp_now(self) -> tuple[int, int]:
        # Each write is a new file, so the inode tells apart two writes in one tick of the clock.
        status = self._file.stat()
        return status.st_mtime_ns, status.st_ino

    def _add(self, project: str, url: str, token: str) -> None:
        kept = {u: t for u, t in self._table.get(project, {}).items() if t != token and u != url}
        self._table = {**self._table, project: {**kept, url: token}}

    def _write(self) -> None:
        temporary = self._file.with_suffix(f".{os.getpid()}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump(self._table, stream)
        temporary.replace(self._file)
        self._stamp = self._stamp_now()

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Hold the file against other server processes."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
