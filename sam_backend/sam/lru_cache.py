"""What was used last, within a bound of bytes."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar


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
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, Value] = OrderedDict()

    @property
    def n_bytes(self) -> int:
        """Bytes held now."""
        return self._n_bytes

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Value | None:
        """The value, which becomes the most recently used; None if it is not here."""
        with self._lock:
            value = self._entries.get(key)
            if value is not None:
                self._entries.move_to_end(key)
            return value

    def put(self, key: Key, value: Value) -> None:
        """Keeps the value, dropping the least recently used; one over the bound is not kept."""
        with self._lock:
            old = self._entries.pop(key, None)
            if old is not None:
                self._n_bytes -= old.n_bytes
            if value.n_bytes > self._max_bytes:
                return
            self._entries[key] = value
            self._n_bytes += value.n_bytes
            while self._n_bytes > self._max_bytes:
                _, dropped = self._entries.popitem(last=False)
                self._n_bytes -= dropped.n_bytes
