"""Embeddings in this process's memory."""

from sam_backend.sam.embeddings.keys import EmbeddingKey
from sam_backend.sam.lru_cache import BoundedMemory
from sam_backend.sam.types import Embedding


class MemoryEmbeddings(BoundedMemory[EmbeddingKey, Embedding]):
    """Keeps the most recently used embeddings within a bound of bytes. Safe under threads."""
