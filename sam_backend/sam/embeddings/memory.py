"""Embeddings in this process's memory."""

import threading
from collections import OrderedDict

from sam_backend.sam.embeddings.keys import EmbeddingKey
from sam_backend.sam.types import Embedding


class MemoryEmbeddings:
    """Keeps the most recently used embeddings within a bound of bytes. Safe under threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._lock = threading.Lock()
        self._entries: OrderedDict[EmbeddingKey, Embedding] = OrderedDict()

    @property
    def n_bytes(self) -> int:
        """Bytes held now."""
        return self._n_bytes

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: EmbeddingKey) -> Embedding | None:
        """The embedding, which becomes the most recently used; None if it is not here."""
        with self._lock:
            embedding = self._entries.get(key)
            if embedding is not None:
                self._entries.move_to_end(key)
            return embedding

    def put(self, key: EmbeddingKey, embedding: Embedding) -> None:
        """Keeps the embedding, dropping the least recently used; one over the bound is not kept."""
        with self._lock:
            old = self._entries.pop(key, None)
            if old is not None:
                self._n_bytes -= old.n_bytes
            if embedding.n_bytes > self._max_bytes:
                return
            self._entries[key] = embedding
            self._n_bytes += embedding.n_bytes
            while self._n_bytes > self._max_bytes:
                _, dropped = self._entries.popitem(last=False)
                self._n_bytes -= dropped.n_bytes
