"""Embeddings as bytes for disk and Redis, with a checksum; no pickle, so nothing can run code."""

import hashlib
import json
import struct

import numpy as np

from sam_backend.errors import SamBackendError
from sam_backend.sam.embeddings.keys import EmbeddingKey
from sam_backend.sam.types import Embedding

_MAGIC = b"SAME1"
_DIGEST_BYTES = 16
_DTYPES = ("float16", "float32")
_LENGTH = struct.Struct("<I")


class DamagedEmbeddingError(SamBackendError):
    """Stored bytes are no embedding, are damaged, or belong to another key."""


def pack(key: EmbeddingKey, embedding: Embedding) -> bytes:
    """Magic, blake2b of the rest, length of the header (uint32), JSON header, features.

    Numbers are little-endian.
    """
    features = np.ascontiguousarray(embedding.features)
    little_endian = features.astype(features.dtype.newbyteorder("<"), copy=False)
    header = json.dumps(
        {
            "key": str(key),
            "dtype": features.dtype.name,
            "shape": features.shape,
            "image_size": embedding.image_size,
            "input_size": embedding.input_size,
        }
    ).encode()
    body = _LENGTH.pack(len(header)) + header + little_endian.tobytes()
    return _MAGIC + _digest(body) + body


def unpack(key: EmbeddingKey, data: bytes) -> Embedding:
    """The embedding that `pack` has stored under the key; its features are read-only.

    Raises:
        DamagedEmbeddingError: The bytes are something else.
    """
    body = memoryview(data)[len(_MAGIC) + _DIGEST_BYTES :]
    if data[: len(_MAGIC)] != _MAGIC or data[len(_MAGIC) :][:_DIGEST_BYTES] != _digest(body):
        raise DamagedEmbeddingError(f"{len(data)} bytes are no whole embedding")
    try:
        (length,) = _LENGTH.unpack_from(body)
        header = json.loads(bytes(body[_LENGTH.size :][:length]))
        if header["key"] != str(key):
            raise DamagedEmbeddingError(f"the embedding belongs to key {header['key']}, not {key}")
        if header["dtype"] not in _DTYPES:
            raise DamagedEmbeddingError(f"features are {header['dtype']}, not one of {_DTYPES}")
        dtype = np.dtype(header["dtype"]).newbyteorder("<")
        features = np.frombuffer(body[_LENGTH.size + length :], dtype).reshape(header["shape"])
        return Embedding(
            features=features.astype(dtype.newbyteorder("="), copy=False),
            image_size=_size(header["image_size"]),
            input_size=_size(header["input_size"]),
        )
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise DamagedEmbeddingError(f"the embedding's header is broken: {error!r}") from error


def _digest(body: bytes | memoryview) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()


def _size(value: list[int]) -> tuple[int, int]:
    height, width = value
    return int(height), int(width)
