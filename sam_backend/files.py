"""Files and folders that are whole or not there, and locks, whenever a process is killed."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

UNFINISHED_SUFFIX = ".tmp"
"""Ends the name of a file that is not whole yet; the name starts with a dot."""


@contextmanager
def replacing(path: Path, mode: int = 0o666, is_durable: bool = False) -> Iterator[Path]:
    """Write a file so that its name never shows a half of it, also after `kill -9`.

    Several processes and threads may write the same file: the last one to finish wins.

    Args:
        path: Name of the file, which may exist; its folder exists.
        mode: Permissions of the new file, less those that the umask takes away.
        is_durable: Wait until the bytes are on the disk, so that a power cut leaves the old file
            or the new one, and no empty one.

    Yields:
        An empty file beside `path`, to be written by any means. It takes the name `path` when the
        block ends well, and is removed when it does not.

    Raises:
        OSError: The folder cannot be written, or the disk is full.
    """
    unfinished = path.with_name(f".{uuid.uuid4().hex}{UNFINISHED_SUFFIX}")
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        yield unfinished
        if is_durable:
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left half written in a folder that only we write to now."""
    for left in folder.glob(f".*{UNFINISHED_SUFFIX}"):
        left.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder so that its name never shows a half of it, also after `kill -9`.

    Args:
        path: Name of the folder, which does not exist yet.

    Yields:
        An empty folder `.new-*` beside `path`, which takes the name `path` when the block ends
        well, and is removed when it does not.

    Raises:
        OSError: The folder around cannot be written, or `path` exists by now.
    """
    unfinished = path.with_name(f".new-{uuid.uuid4().hex}")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        unfinished.rename(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def lock(path: Path, error: Exception | None = None) -> AbstractContextManager[object]:
    """Lock a file, made if needed, until the end of a `with` block.

    The lock goes with its process, so a killed one leaves none.

    Args:
        path: The lock file; nothing is written to it.
        error: Raised if another process or thread holds the lock; None: wait for it.

    Raises:
        OSError: The file cannot be made.
    """
    from filelock import FileLock, Timeout  # not for `--help`, which waits for no lock

    if error is None:
        return FileLock(path)
    try:
        return FileLock(path).acquire(timeout=0)
    except Timeout:
        raise error from None
