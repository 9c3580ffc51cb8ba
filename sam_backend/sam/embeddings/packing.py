"""Embeddings as bytes for disk and Redis, with a checksum; no pickle, so nothing can run code."""

import hashlib
import hmac
import json
import struct

import numpy as np

from sam_backend.errors import SamBackendError
from sam_backend.sam.embeddings.keys import EmbeddingKey
from sam_backend.sam.types import Embedding

_MAGIC = b"SAME1"
_DIGEST_BYTES = 16
_DTYPES = ("float16", "float32")
_LARGEST = 1e4
"""Encoders end in a normalisation: their numbers are some tens; the largest float16 is 65,504."""
_LONGEST_SIDE = 1 << 17
_LENGTH = struct.Struct("<I")


class DamagedEmbeddingError(SamBackendError):
    """Stored bytes are no embedding, are damaged, or belong to another key."""


def pack(key: EmbeddingKey, embedding: Embedding, secret: bytes = b"") -> bytes:
    """Magic, blake2b of the rest, length of the header (uint32), JSON header, features.

    Numbers are little-endian.

    Args:
        key: What the embedding is stored under.
        embedding: What is stored.
        secret: Key of the checksum, so that others cannot make one; at most 64 bytes.
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
            "cell_channels": embedding.cell_channels,
        }
    ).encode()
    body = _LENGTH.pack(len(header)) + header + little_endian.tobytes()
    return _MAGIC + _digest(body, secret) + body


def unpack(key: EmbeddingKey, data: bytes, secret: bytes = b"") -> Embedding:
    """The embedding that `pack` has stored under the key; its features are read-only.

    Args:
        key: What it was stored under.
        data: The bytes.
        secret: As of `pack`.

    Raises:
        DamagedEmbeddingError: The bytes are something else, have another secret, or hold what no
            encoder gives: a number that is not finite or far too large, a size without pixels.
    """
    body = memoryview(data)[len(_MAGIC) + _DIGEST_BYTES :]
    given = data[len(_MAGIC) :][:_DIGEST_BYTES]
    is_ours = hmac.compare_digest(given, _digest(body, secret))
    if data[: len(_MAGIC)] != _MAGIC or not is_ours:
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
        if features.ndim != 3 or not (np.abs(features) <= _LARGEST).all():  # NaN is not, either
            raise DamagedEmbeddingError(
                f"features of shape {features.shape} hold numbers beyond {_LARGEST:g}, or none"
            )
        return Embedding(
            features=features.astype(dtype.newbyteorder("="), copy=False),
            image_size=_size(header["image_size"]),
            input_size=_size(header["input_size"]),
            cell_channels=_channels(header.get("cell_channels"), len(features)),
        )
    except (struct.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedEmbeddingError(f"the embedding's header is broken: {error!r}") from error


def _digest(body: bytes | memoryview, secret: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES, key=secret).digest()


def _channels(value: int | None, n_channels: int) -> int | None:
    if value is not None and not (type(value) is int and 0 < value <= n_channels):
        raise ValueError(f"{value!r} of {n_channels} channels are no cells'")
    return value


def _size(value: list[int]) -> tuple[int, int]:
    height, width = value
    if not (0 < height <= _LONGEST_SIDE and 0 < width <= _LONGEST_SIDE):
        raise ValueError(f"no image has {width} x {height} pixels")
    return int(height), int(width)
