"""Several caches as one, the fastest first."""

from collections.abc import Sequence

from sam_backend.sam.embeddings.keys import EmbeddingCache, EmbeddingKey
from sam_backend.sam.types import Embedding


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
