"""A lock that processes share through a file; it goes with its process, so kill -9 leaves none."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


def lock_file(file: IO[Any], wait: bool = True) -> bool:
    """Takes the lock on an open file until it is closed; always succeeds on Windows.

    Args:
        file: Any open file. Two handles of one file lock each other out, even in one process.
        wait: Wait for whoever holds it.

    Returns:
        False: another one holds it, and we did not wait.
    """
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file `path`, made if needed, for the length of the block."""
    with path.open("a") as file:
        lock_file(file)
        yield
