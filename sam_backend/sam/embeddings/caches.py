"""Caches that hold embeddings in memory, or that other caches stand behind."""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from sam_backend.sam.embeddings.keys import EmbeddingCache, EmbeddingKey
from sam_backend.sam.lru_cache import BoundedMemory
from sam_backend.sam.types import Embedding


class MemoryEmbeddings(BoundedMemory[EmbeddingKey, Embedding]):
    """Keeps the most recently used embeddings within a bound of bytes. Safe under threads."""


class LayeredEmbeddings:
    """Asks its layers in order; what a lower one has is copied into those above it."""

    def __init__(self, layers: Sequence[EmbeddingCache]) -> None:
        self._layers = tuple(layers)

    def get(self, key: EmbeddingKey) -> Embedding | None:
        """The embedding from the first layer that has it; None if none has."""
        for depth, layer in enumerate(self._layers):
            embedding = layer.get(key)
            if embedding is not None:
                for above in self._layers[:depth]:
                    above.put(key, embedding)
                return embedding
        return None

    def put(self, key: EmbeddingKey, embedding: Embedding) -> None:
        """Keeps the embedding in every layer."""
        for layer in self._layers:
            layer.put(key, embedding)


logger = logging.getLogger(__name__)


class WriteBehind:
    """Puts into another cache on a thread of its own; gets go straight through.

    The device's thread ends an encode with a put: with this it does not wait for disk or network.
    When more than `max_waiting` puts wait, further ones are dropped: a cache is never truth.
    """

    def __init__(self, cache: EmbeddingCache, max_waiting: int = 32) -> None:
        self._cache = cache
        self._free = threading.Semaphore(max_waiting)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedding-writer")

    def get(self, key: EmbeddingKey) -> Embedding | None:
        """The embedding from the cache behind; None if it is not there (yet)."""
        return self._cache.get(key)

    def put(self, key: EmbeddingKey, embedding: Embedding) -> None:
        """Hands the embedding to the writer's thread, or drops it if that one is too far behind."""
        if not self._free.acquire(blocking=False):
            logger.debug("the embedding writer is behind; one embedding is not kept")
            return
        try:
            self._writer.submit(self._put, key, embedding)
        except RuntimeError:  # closed
            self._free.release()

    def close(self) -> None:
        """Ends the thread after what waits is written."""
        self._writer.shutdown(wait=True)

    def _put(self, key: EmbeddingKey, embedding: Embedding) -> None:
        try:
            self._cache.put(key, embedding)
        finally:
            self._free.release()
