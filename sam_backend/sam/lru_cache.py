"""What was used last, within a bound of bytes."""

import threading
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from cachetools import LRUCache


class Measured(Protocol):
    """What knows its size."""

    @property
    def n_bytes(self) -> int:
        """Memory held, in bytes."""
        ...


Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value", bound=Measured)


class BoundedMemory(Generic[Key, Value]):
    """Keeps the most recently used values within a bound of bytes. Safe under threads."""

    def __init__(self, max_bytes: int) -> None:
        self._lock = threading.Lock()
        self._entries: LRUCache[Key, Value] = LRUCache(max_bytes, lambda value: value.n_bytes)

    @property
    def n_bytes(self) -> int:
        """Bytes held now."""
        return int(self._entries.currsize)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Value | None:
        """The value, which becomes the most recently used; None if it is not here."""
        with self._lock:
            return self._entries.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Keeps the value, dropping the least recently used; one over the bound is not kept."""
        with self._lock:
            self._entries.pop(key, None)
            if value.n_bytes <= self._entries.maxsize:
                self._entries[key] = value
