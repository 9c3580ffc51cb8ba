"""Keys and embeddings that tests can tell apart."""

import numpy as np

from sam_backend.sam.embeddings import EmbeddingKey
from sam_backend.sam.types import Embedding


def key(name: str = "a") -> EmbeddingKey:
    return EmbeddingKey(name, "starter-1+00000000", "longest512")


def embedding(value: float = 1.0, n_values: int = 256) -> Embedding:
    """An embedding filled with one value; `n_values` float32 numbers."""
    features = np.full((4, n_values // 4, 1), value, np.float32)
    return Embedding(features, (480, 640), (384, 512))


def same(one: Embedding | None, other: Embedding | None) -> bool:
    """True if both are equal in every bit that counts."""
    if one is None or other is None:
        return one is other
    levels, others = (one.features, *one.finer), (other.features, *other.finer)
    return (
        len(levels) == len(others)
        and all(a.dtype == b.dtype for a, b in zip(levels, others, strict=True))
        and all(np.array_equal(a, b, equal_nan=True) for a, b in zip(levels, others, strict=True))
        and (one.image_size, one.input_size) == (other.image_size, other.input_size)
    )
