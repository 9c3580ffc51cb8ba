"""Embeddings kept for later: a cache, never truth. Memory by default, disk and Redis by setting."""

from sam_backend.sam.embeddings.caches import LayeredEmbeddings, MemoryEmbeddings, WriteBehind
from sam_backend.sam.embeddings.disk import DiskEmbeddings
from sam_backend.sam.embeddings.keys import EmbeddingCache, EmbeddingKey
from sam_backend.sam.embeddings.redis import RedisEmbeddings

__all__ = [
    "DiskEmbeddings",
    "EmbeddingCache",
    "EmbeddingKey",
    "LayeredEmbeddings",
    "MemoryEmbeddings",
    "RedisEmbeddings",
    "WriteBehind",
]
