"""Label Studio's brush format against its own SDK."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from label_studio_sdk.converter.brush import decode_rle, encode_rle

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.regions.rle_pack import pack, unpack
from sam_backend.masks.types import Mask
from tests.masks.strategies import masks

DATA = Path(__file__).parents[2] / "data" / "labelstudio"


def rgba(mask: Mask, opacity: int = 255) -> np.ndarray:
    return np.repeat(np.where(mask, opacity, 0).astype(np.uint8).ravel(), 4)


def one_pixel(size: tuple[int, int]) -> Mask:
    mask = np.zeros(size, bool)
    mask[size[0] // 2, size[1] // 2] = True
    return mask


@given(masks)
@example(np.zeros((1, 1), bool))
@example(np.ones((1, 1), bool))
@example(np.ones((300, 257), bool))  # one run over several tokens
@example(np.ones((128, 128), bool))  # exactly one longest token
@example(np.zeros((129, 128), bool))
@example(one_pixel((200, 200)))
def test_round_trip_and_the_sdk_reads_ours(mask: Mask) -> None:
    packed = pack(mask)
    assert np.array_equal(unpack(packed, mask.shape), mask)
    assert np.array_equal(decode_rle(packed), rgba(mask))


@given(masks, st.sampled_from([1, 2, 128, 255]))
def test_we_read_the_sdk_s(mask: Mask, opacity: int) -> None:
    """The SDK's mask2rle keeps the numbers of a 0/1 mask, so that "on" may be 1."""
    assert np.array_equal(unpack(encode_rle(rgba(mask, opacity)), mask.shape), mask)


@given(st.data())
def test_literals_and_other_widths_as_the_editor_writes_them(data: st.DataObject) -> None:
    """The editor's encoder packs soft edges as literals, which ours and the SDK's never write."""
    widths = data.draw(st.lists(st.integers(1, 16), min_size=4, max_size=4))
    n_pixels = data.draw(st.integers(1, 40))
    bits = f"{n_pixels * 4:032b}{7:05b}" + "".join(f"{width - 1:04b}" for width in widths)
    expected: list[int] = []
    while len(expected) < n_pixels * 4:
        choice = data.draw(st.integers(0, 3))
        longest = min(2 ** widths[choice], n_pixels * 4 - len(expected))
        count = data.draw(st.integers(1, longest))
        is_repeated = data.draw(st.booleans())
        words = data.draw(
            st.lists(
                st.integers(0, 255),
                min_size=1 if is_repeated else count,
                max_size=1 if is_repeated else count,
            )
        )
        bits += f"{int(is_repeated)}{choice:02b}{count - 1:0{widths[choice]}b}"
        bits += "".join(f"{word:08b}" for word in words)
        expected += words * count if is_repeated else words
    bits += "0" * (-len(bits) % 8)
    rle = [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]
    alpha = np.array(expected)[3::4]
    on = (alpha * 2 >= alpha.max()) & (alpha > 0)
    assert np.array_equal(unpack(rle, (1, n_pixels)), on[None])


def test_reads_soft_edges_of_the_editors_own_encoder() -> None:
    recorded = json.loads((DATA / "brush_of_the_editor.json").read_text())
    opacity = np.array(recorded["opacity"])
    assert len(np.unique(opacity)) > 5
    assert np.array_equal(unpack(recorded["rle"], opacity.shape), opacity >= 128)


@pytest.mark.parametrize(
    ("rle", "reason"),
    [
        ([], "list of bytes"),
        ([1, 2, 3], "list of bytes"),
        (["a"] * 9, "list of bytes"),
        ([0.5] * 9, "list of bytes"),
        ([[0]] * 9, "list of bytes"),
        ([[0], 1], "list of numbers"),
        ([-1] * 9, "from 0 to 255, not -1"),
        ([256] * 9, "from 0 to 255, not 256"),
        ([10**30] * 9, "list of"),
        (pack(np.ones((5, 5), bool)), "100 bytes, not the 64 of an image of 4x4"),
        (pack(np.ones((4, 4), bool))[:-1], "end at"),
        ([0, 0, 0, 64, 0b01111000, *[0] * 9], "8 bits, not 16"),
    ],
)
def test_damaged_bytes_are_refused(rle: list[int], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        unpack(rle, (4, 4))
