"""Embeddings survive the way to bytes and back, and damage is always seen."""

import hashlib
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sam_backend.sam.embeddings.packing import DamagedEmbeddingError, pack, unpack
from sam_backend.sam.types import Embedding
from tests.sam.embeddings.examples import embedding, key, same

sizes = st.tuples(st.integers(1, 10**5), st.integers(1, 10**5))
features = st.sampled_from([np.float16, np.float32]).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=6),
        elements=st.floats(-1e4, 1e4, width=16 if dtype is np.float16 else 32),
    )
)


@given(features, sizes, sizes, st.booleans())
def test_round_trip(
    values: np.ndarray, image_size: tuple[int, int], input_size: tuple[int, int], is_finer: bool
):
    original = Embedding(values, image_size, input_size, 1 if is_finer else None)
    back = unpack(key(), pack(key(), original))
    assert same(back, original)
    assert back.cell_channels == original.cell_channels
    assert not back.features.flags.writeable


def test_a_view_with_strides_is_packed_by_value() -> None:
    values = np.arange(2 * 3 * 4, dtype=np.float32).reshape(4, 3, 2).transpose(2, 1, 0)
    original = Embedding(values, (3, 4), (3, 4))
    assert same(unpack(key(), pack(key(), original)), original)


@given(st.data())
def test_every_changed_byte_is_seen(data: st.DataObject) -> None:
    packed = bytearray(pack(key(), embedding(n_values=16)))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DamagedEmbeddingError):
        unpack(key(), bytes(packed))


@given(st.integers(0, 10**6))
def test_every_cut_is_seen(length: int) -> None:
    packed = pack(key(), embedding(n_values=16))
    with pytest.raises(DamagedEmbeddingError):
        unpack(key(), packed[: length % len(packed)])


@given(features, st.integers(1, 4))
def test_finer_levels_of_other_shapes_come_back(values: np.ndarray, n_levels: int) -> None:
    finer = tuple(np.repeat(values, n + 2, axis=n % 3) for n in range(n_levels))
    original = Embedding(values, (3, 4), (3, 4), finer=finer)
    back = unpack(key(), pack(key(), original))
    assert same(back, original)
    assert back.n_bytes == original.n_bytes == sum(one.nbytes for one in (values, *finer))
    assert not any(level.flags.writeable for level in (back.features, *back.finer))


def test_what_an_earlier_release_packed_still_reads() -> None:
    packed = pack(key(), embedding(n_values=16))
    (length,) = struct.unpack_from("<I", packed, 21)
    earlier = json.loads(packed[25 : 25 + length])
    del earlier["finer"]
    header = json.dumps(earlier).encode()
    body = struct.pack("<I", len(header)) + header + packed[25 + length :]
    old = packed[:5] + hashlib.blake2b(body, digest_size=16).digest() + body
    assert same(unpack(key(), old), embedding(n_values=16))


def test_bytes_of_another_key_are_refused() -> None:
    with pytest.raises(DamagedEmbeddingError, match="belongs to key"):
        unpack(key("b"), pack(key("a"), embedding()))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"dtype": "object"}, "features are object"),
        ({"shape": [5, 5, 5]}, "header is broken"),
        ({"image_size": [1]}, "header is broken"),
        ({"key": None}, "belongs to key None"),
        ({"image_size": [0, 640]}, "no image has 640 x 0 pixels"),
        ({"image_size": [10**6, 640]}, "no image has"),
        ({"input_size": [-1, -1]}, "no image has"),
        ({"shape": [16]}, r"features of shape \(16,\)"),
        ({"shape": [-1, 4, 1]}, "header is broken"),
        ({"shape": [4, 1e18, 1]}, "header is broken"),
        ({"shape": [4, 4, 1], "finer": [[1, 1, 1]]}, "header is broken"),
        ({"shape": [2, 4, 1], "finer": [[8, 1, 1]] + [[1, 1, 1]] * 9}, "header is broken"),
        ({"shape": [4, 2, 1], "finer": [[2**40, 2**40, 1]]}, "header is broken"),
        ({"finer": 3}, "header is broken"),
        ({"finer": [3]}, "header is broken"),
    ],
)
def test_a_whole_entry_that_says_nonsense_is_refused(change: dict, why: str) -> None:
    """As another release, or somebody else's program, might have written it."""
    packed = pack(key(), embedding(n_values=16))
    (length,) = struct.unpack_from("<I", packed, 21)
    header = json.dumps(json.loads(packed[25 : 25 + length]) | change).encode()
    body = struct.pack("<I", len(header)) + header + packed[25 + length :]
    forged = packed[:5] + hashlib.blake2b(body, digest_size=16).digest() + body
    with pytest.raises(DamagedEmbeddingError, match=why):
        unpack(key(), forged)


def test_a_header_of_any_depth_is_refused() -> None:
    header = b"[" * 100_000
    body = struct.pack("<I", len(header)) + header
    forged = b"SAME1" + hashlib.blake2b(body, digest_size=16).digest() + body
    with pytest.raises(DamagedEmbeddingError, match="header is broken"):
        unpack(key(), forged)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2e4])
def test_numbers_that_no_encoder_gives_are_refused(value: float) -> None:
    forged = pack(key(), embedding(value, n_values=16))
    with pytest.raises(DamagedEmbeddingError, match="numbers beyond 10000"):
        unpack(key(), forged)


@pytest.mark.parametrize(("mine", "theirs"), [(b"a", b""), (b"", b"a"), (b"a", b"b")])
def test_who_lacks_the_secret_can_put_nothing_there(mine: bytes, theirs: bytes) -> None:
    assert same(unpack(key(), pack(key(), embedding(), mine), mine), embedding())
    with pytest.raises(DamagedEmbeddingError, match="no whole embedding"):
        unpack(key(), pack(key(), embedding(), theirs), mine)
