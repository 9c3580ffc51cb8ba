"""Downloads one large file so that it is either whole and checked, or not there at all."""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

import httpx

from sam_backend.errors import ModelStoreError
from sam_backend.files import lock
from sam_backend.sam.checkpoint_files import no_weights_reason, sha256_of

logger = logging.getLogger(__name__)

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here and those expected in all (None: the server does not say)."""

_ATTEMPTS = 6  # in a row without one new byte
_FIRST_PAUSE_S = 1.0
_TIMEOUT = httpx.Timeout(30.0)


class _TryAgainError(Exception):
    """The server or the network may do better next time."""


def download(
    url: str,
    target: Path,
    sha256: str,
    progress: Progress = lambda done, total: None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Brings a file under `target`, going on where an earlier try was cut.

    Bytes are collected in `<target>.part` and renamed only when their sha256 is right. Dropped
    connections and busy servers are tried again after 1, 2, 4 … seconds, until six tries in a row
    have brought nothing.

    Args:
        url: http or https; redirects are followed.
        target: The final name; if the right file is there already, nothing is fetched.
        sha256: SHA-256 of the whole file, lower-case hex.
        progress: Told about bytes as they come.
        sleep: Waits so many seconds.

    Raises:
        ModelStoreError: The server has no such file, does not answer, or sent something else; or
            the file cannot be written.
    """
    try:
        if target.is_file() and sha256_of(target) == sha256:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        with _only_writer(part) as file:
            _fetch(url, file, progress, sleep)
            file.seek(0)
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != sha256:
                reason = no_weights_reason(part)
                part.unlink()
                told = "" if reason is None else f" ({reason})"
                raise ModelStoreError(
                    f"{url} has sha256 {found}, not {sha256}{told}; what came is thrown away"
                )
            os.fsync(file.fileno())  # else a power cut could leave an empty file under the name
            part.replace(target)
    except OSError as error:
        raise ModelStoreError(f"cannot write {target}: {error.strerror or error}") from error


def _fetch(
    url: str, file: BufferedRandom, progress: Progress, sleep: Callable[[float], None]
) -> None:
    failures, most = 0, 0
    with httpx.Client(follow_redirects=True, timeout=_TIMEOUT) as client:
        while True:
            most = max(most, file.seek(0, 2))
            try:
                _fetch_rest(client, url, file, progress)
            except (httpx.TransportError, _TryAgainError) as error:
                failures = 1 if file.seek(0, 2) > most else failures + 1
                if failures >= _ATTEMPTS:
                    raise ModelStoreError(f"cannot download {url}: {error!r}") from error
                pause_s = _FIRST_PAUSE_S * 2 ** (failures - 1)
                logger.info("download of %s was cut (%r); again in %g s", url, error, pause_s)
                sleep(pause_s)
            except httpx.HTTPError as error:
                raise ModelStoreError(f"cannot download {url}: {error!r}") from error
            else:
                return


def _fetch_rest(client: httpx.Client, url: str, file: BufferedRandom, progress: Progress) -> None:
    """One request for the bytes that are missing; returns when the file is whole."""
    have = file.seek(0, 2)
    # identity: a compressed body would make offsets meaningless
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            if response.headers.get("Content-Range") == f"bytes */{have}":
                return  # all of it was here
            file.truncate(0)
            raise _TryAgainError("the server cannot go on from here")
        if response.status_code == 429 or response.is_server_error:
            raise _TryAgainError(f"HTTP {response.status_code}")
        if not response.is_success:
            raise ModelStoreError(f"cannot download {url}: HTTP {response.status_code}")
        start = _start_of(response)
        if start not in {0, have}:
            file.truncate(0)
            raise _TryAgainError(f"the server went on at byte {start}, not {have}")
        file.truncate(start)
        file.seek(start)
        _write(response, file, start, progress)


def _start_of(response: httpx.Response) -> int:
    """The position of the answer's first byte in the file: 0 if the server ignored our range."""
    if response.status_code != httpx.codes.PARTIAL_CONTENT:
        return 0
    words = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")
    return int(words[0]) if words[0].isdigit() else -1


def _write(response: httpx.Response, file: BufferedRandom, start: int, progress: Progress) -> None:
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() else None
    done = start
    progress(done, total)
    for chunk in response.iter_raw():
        file.write(chunk)
        done += len(chunk)
        progress(done, total)
    file.flush()


@contextmanager
def _only_writer(part: Path) -> Iterator[BufferedRandom]:
    """The part file, open for reading and writing and locked against a second download."""
    lock_file = part.with_name(part.name + ".lock")
    with lock(lock_file, ModelStoreError(f"{part} is being written by another download")):
        try:
            part.touch()
            with part.open("r+b") as file:
                yield file
        finally:
            lock_file.unlink(missing_ok=True)
