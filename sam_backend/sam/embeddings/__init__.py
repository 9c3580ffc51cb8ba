"""Embeddings kept for later: a cache, never truth. Memory by default, disk and Redis by setting."""

from sam_backend.sam.embeddings.disk import DiskEmbeddings
from sam_backend.sam.embeddings.keys import EmbeddingCache, EmbeddingKey
from sam_backend.sam.embeddings.layers import LayeredEmbeddings
from sam_backend.sam.embeddings.memory import MemoryEmbeddings
from sam_backend.sam.embeddings.redis import RedisEmbeddings
from sam_backend.sam.embeddings.write_behind import WriteBehind

__all__ = [
    "DiskEmbeddings",
    "EmbeddingCache",
    "EmbeddingKey",
    "LayeredEmbeddings",
    "MemoryEmbeddings",
    "RedisEmbeddings",
    "WriteBehind",
]
