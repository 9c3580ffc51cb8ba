"""Embeddings in a folder, which several processes may share."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sam_backend.files import UNFINISHED_SUFFIX, replacing
from sam_backend.sam.embeddings.keys import EmbeddingKey
from sam_backend.sam.embeddings.packing import DamagedEmbeddingError, pack, unpack
from sam_backend.sam.types import Embedding

logger = logging.getLogger(__name__)

_SUFFIX = ".embedding"
_STALE_S = 3600.0  # a temporary file older than this was left by a process that died


class DiskEmbeddings:
    """Keeps embeddings as files within a bound of bytes; the least recently used go first.

    Files are written beside and renamed, so that no process ever sees half of one. A damaged file
    is a miss and is removed.
    """

    def __init__(self, folder: Path, max_bytes: int, now: Callable[[], float] = time.time) -> None:
        """Takes a folder, which is made if need be; `now` is the wall clock in seconds."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._now = now
        self._lock = threading.Lock()
        self._n_bytes = self._shrink()
        self._failing = False

    def get(self, key: EmbeddingKey) -> Embedding | None:
        """The embedding; None if it is not here, damaged or unreadable."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._failed(error)
            return None
        try:
            embedding = unpack(key, data)
        except DamagedEmbeddingError as error:
            logger.warning("removing a damaged cache file %s: %s", path, error)
            self._remove(path)
            return None
        self._touch(path)
        return embedding

    def put(self, key: EmbeddingKey, embedding: Embedding) -> None:
        """Keeps the embedding; on a full or read-only disk only a warning is logged."""
        data = pack(key, embedding)
        if len(data) > self._max_bytes:
            return
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as unfinished:
                unfinished.write_bytes(data)
        except OSError as error:
            self._failed(error)
            return
        self._failing = False
        with self._lock:
            self._n_bytes += len(data)
            if self._n_bytes > self._max_bytes:
                self._n_bytes = self._shrink()

    def _path(self, key: EmbeddingKey) -> Path:
        name = str(key)
        return self._folder / name[:2] / (name + _SUFFIX)

    def _shrink(self) -> int:
        """Removes the least recently used files down to the bound; returns the bytes that stay."""
        entries = sorted(self._files(), key=lambda entry: entry[0])
        total = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if total <= self._max_bytes:
                break
            self._remove(path)
            total -= size
        return total

    def _files(self) -> list[tuple[float, int, Path]]:
        """(last use, bytes, path) of every embedding; what dead processes left is removed."""
        found = []
        for path in self._folder.glob("*/*"):
            try:
                status = path.stat()
            except OSError:
                continue  # another process has just removed it
            if path.suffix == _SUFFIX:
                found.append((status.st_mtime, status.st_size, path))
            elif path.suffix == UNFINISHED_SUFFIX and self._now() - status.st_mtime > _STALE_S:
                self._remove(path)
        return found

    def _touch(self, path: Path) -> None:
        with contextlib.suppress(OSError):  # only the order of removal would suffer
            os.utime(path, (self._now(), self._now()))

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        if not self._failing:
            logger.warning("embeddings are not kept on disk for now: %s", error)
        self._failing = True
