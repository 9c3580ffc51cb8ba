"""What an embedding is stored under, and what every cache can do."""

import hashlib
from dataclasses import dataclass
from typing import Protocol

from sam_backend.sam.types import Embedding


@dataclass(frozen=True, slots=True)
class EmbeddingKey:
    """Two equal keys stand for the same embedding, on any machine and in any process.

    Attributes:
        image_digest: sha256 of the image file's bytes, lower-case hex.
        model_version: Model version of the segmenter.
        preprocessing: Preprocessing of the segmenter.
    """

    image_digest: str
    model_version: str
    preprocessing: str

    def __str__(self) -> str:
        """A fixed-length name, safe in file names and Redis keys: sha256 of all parts."""
        parts = [self.image_digest, self.model_version, self.preprocessing]
        lengths = "".join(f"{len(part)}:{part}" for part in parts)
        return hashlib.sha256(lengths.encode()).hexdigest()


class EmbeddingCache(Protocol):
    """Keeps embeddings for a while. Neither call ever raises: a cache that fails is a miss."""

    def get(self, key: EmbeddingKey) -> Embedding | None:
        """The embedding, or None if it is not (or no longer) here."""

    def put(self, key: EmbeddingKey, embedding: Embedding) -> None:
        """Keeps the embedding if there is room."""
