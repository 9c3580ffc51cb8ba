"""Embeddings as bytes for disk and Redis, with a checksum; no pickle, so nothing can run code."""

import hashlib
import hmac
import json
import math
import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sam_backend.errors import SamBackendError
from sam_backend.sam.embeddings.keys import EmbeddingKey
from sam_backend.sam.types import Embedding

_MAGIC = b"SAME1"
_DIGEST_BYTES = 16
_DTYPES = ("float16", "float32")
_LARGEST = 1e4
"""Encoders end in a normalisation: their numbers are some tens; the largest float16 is 65,504."""
_LONGEST_SIDE = 1 << 17
_MOST_LEVELS = 8
_LENGTH = struct.Struct("<I")


class DamagedEmbeddingError(SamBackendError):
    """Stored bytes are no embedding, are damaged, or belong to another key."""


def pack(key: EmbeddingKey, embedding: Embedding, secret: bytes = b"") -> bytes:
    """Magic, blake2b of the rest, length of the header (uint32), JSON header, levels.

    Numbers are little-endian; the coarse level comes first, then the finer ones.

    Args:
        key: What the embedding is stored under.
        embedding: What is stored.
        secret: Key of the checksum, so that others cannot make one; at most 64 bytes.
    """
    dtype = embedding.features.dtype
    levels = [
        np.ascontiguousarray(level).astype(dtype.newbyteorder("<"), copy=False)
        for level in (embedding.features, *embedding.finer)
    ]
    header = json.dumps(
        {
            "key": str(key),
            "dtype": dtype.name,
            "shape": levels[0].shape,
            "finer": [level.shape for level in levels[1:]],
            "image_size": embedding.image_size,
            "input_size": embedding.input_size,
            "cell_channels": embedding.cell_channels,
        }
    ).encode()
    body = b"".join([_LENGTH.pack(len(header)), header, *(level.tobytes() for level in levels)])
    return _MAGIC + _digest(body, secret) + body


def unpack(key: EmbeddingKey, data: bytes, secret: bytes = b"") -> Embedding:
    """The embedding that `pack` has stored under the key; its levels are read-only.

    Nothing is allocated beyond the bytes' own length, whatever they say.

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
        values = np.frombuffer(body[_LENGTH.size + length :], dtype)
        values = values.astype(dtype.newbyteorder("="), copy=False)
        values.flags.writeable = False
        features, *finer = _levels(values, [header["shape"], *header.get("finer", ())])
        return Embedding(
            features=features,
            image_size=_size(header["image_size"]),
            input_size=_size(header["input_size"]),
            cell_channels=_channels(header.get("cell_channels"), len(features)),
            finer=tuple(finer),
        )
    except (struct.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedEmbeddingError(f"the embedding's header is broken: {error!r}") from error


def _digest(body: bytes | memoryview, secret: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES, key=secret).digest()


def _levels(
    values: npt.NDArray[np.floating], shapes: Sequence[Sequence[int]]
) -> list[npt.NDArray[np.floating]]:
    """Views of values that lie one level after the other, of these shapes.

    Raises:
        ValueError: The shapes do not fit the values.
        DamagedEmbeddingError: A level has not three sides; a value is far too large, or no number.
    """
    if len(shapes) > _MOST_LEVELS:
        raise ValueError(f"{len(shapes)} levels are more than {_MOST_LEVELS}")
    levels, start = [], 0
    for shape in shapes:
        if len(shape) != 3:
            raise DamagedEmbeddingError(f"features of shape {tuple(shape)} are no level")
        if not all(type(side) is int and side > 0 for side in shape):
            raise ValueError(f"{shape!r} is no shape")
        end = start + math.prod(shape)
        levels.append(values[start:end].reshape(shape))
        start = end
    if start != len(values):
        raise ValueError(f"the levels have {start} values, not {len(values)}")
    if not (np.abs(values) <= _LARGEST).all():  # NaN is not, either
        raise DamagedEmbeddingError(f"features hold numbers beyond {_LARGEST:g}, or none")
    return levels


def _channels(value: int | None, n_channels: int) -> int | None:
    if value is not None and not (type(value) is int and 0 < value <= n_channels):
        raise ValueError(f"{value!r} of {n_channels} channels are no cells'")
    return value


def _size(value: list[int]) -> tuple[int, int]:
    height, width = value
    if not (0 < height <= _LONGEST_SIDE and 0 < width <= _LONGEST_SIDE):
        raise ValueError(f"no image has {width} x {height} pixels")
    return int(height), int(width)
