"""Label Studio's brush format: `@thi.ng/rle-pack` of the mask's RGBA picture, row by row.

A stream of bits: 32 for the number of bytes, 5 for the word size - 1, four times 4 for the widths
of a count - 1. Then tokens: 1 bit "repeated", 2 bits choosing a width, the count - 1 in that width,
and one word (repeated) or count words (literal). Source: the editor's utils/canvas.js and
`label_studio_sdk.converter.brush`, whose loops over bits are too slow for a click.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sam_backend.errors import InvalidInputError
from sam_backend.masks.types import Mask, check_mask, mask_from_opacity

_WORD_BITS = 8
_COUNT_BITS = np.array([3, 4, 8, 16])
_HEADER_BITS = 32 + 5 + 4 * 4
_LONGEST = 1 << 16
_CHANNELS = 4


def pack(mask: Mask) -> list[int]:
    """The bytes of a brush region, each 0 to 255; the mask's pixels become opaque white.

    Args:
        mask: Shape (H, W) bool.
    """
    flat = check_mask(mask).ravel()
    if flat.size * _CHANNELS >= 1 << 32:
        raise InvalidInputError(f"a brush cannot hold an image of {flat.size} pixels")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(edges, prepend=0, append=flat.size) * _CHANNELS
    values = np.where((np.arange(len(lengths)) % 2 == 0) == flat[0], 255, 0)

    n_whole = (lengths - 1) // _LONGEST
    counts = np.full(int(n_whole.sum()) + len(lengths), _LONGEST)
    counts[np.cumsum(n_whole + 1) - 1] = lengths - n_whole * _LONGEST
    values = np.repeat(values, n_whole + 1)

    choice = np.searchsorted(1 << _COUNT_BITS, counts)
    widths = _COUNT_BITS[choice]
    tokens = (((4 | choice) << widths | (counts - 1)) << _WORD_BITS) | values
    n_bytes = flat.size * _CHANNELS
    header = [n_bytes >> 16, n_bytes & 0xFFFF, _WORD_BITS - 1, *(_COUNT_BITS - 1)]
    tokens = np.concatenate([header, tokens])
    n_bits = np.concatenate([[16, 16, 5, 4, 4, 4, 4], 3 + widths + _WORD_BITS])
    packed: list[int] = _join(tokens, n_bits).tolist()
    return packed


def _join(tokens: npt.NDArray[np.int64], n_bits: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Bytes of the tokens' lowest `n_bits` bits (at most 33) one after another, big end first."""
    ends = np.cumsum(n_bits)
    starts = ends - n_bits
    first = starts >> 3
    words = tokens << (40 - n_bits - (starts & 7))
    total = -(-int(ends[-1]) // 8)
    out = np.zeros(total + 4)
    for position in range(5):
        # Tokens share bytes but no bits, so that adding them is the same as joining them.
        part = (words >> (32 - 8 * position)) & 0xFF
        out += np.bincount(first + position, weights=part, minlength=len(out))
    return out[:total].astype(np.uint8)


def unpack(rle: Sequence[int], size: tuple[int, int]) -> Mask:
    """The mask of a brush region, drawn by us or by hand.

    Only the alpha channel is read, as by Label Studio's editor and exports.

    Args:
        rle: Bytes, each 0 to 255.
        size: (height, width) of the image in pixels.

    Returns:
        Shape (H, W) bool.

    Raises:
        InvalidInputError: The bytes are damaged or belong to an image of another size.
    """
    data = _bytes(rle)
    bits = _Bits(data)
    n_bytes, word_bits = bits.read(0, 32), bits.read(32, 5) + 1
    if word_bits != _WORD_BITS:
        raise InvalidInputError(f"the brush's words must have 8 bits, not {word_bits}")
    if n_bytes != size[0] * size[1] * _CHANNELS:
        raise InvalidInputError(
            f"the brush holds {n_bytes} bytes, not the {size[0] * size[1] * _CHANNELS} of an image "
            f"of {size[1]}x{size[0]} pixels"
        )
    widths = [bits.read(37 + 4 * choice, 4) + 1 for choice in range(4)]
    ends, values, literals = bits.tokens(n_bytes, widths)
    # Of the bytes before position p, p // 4 are alpha.
    alpha = np.repeat(values, np.diff(ends // _CHANNELS, prepend=0))
    if len(literals):
        where, opacity = bits.literal_alpha(literals)
        alpha[where] = opacity
    return mask_from_opacity(alpha.reshape(size))


def _bytes(rle: Sequence[int]) -> npt.NDArray[np.uint8]:
    try:
        data = np.asarray(rle)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidInputError("a brush's rle must be a list of numbers") from error
    is_whole = data.dtype.kind in "iu" or (data.dtype.kind == "f" and (data == data // 1).all())
    if data.ndim != 1 or not is_whole or len(data) * 8 < _HEADER_BITS:
        raise InvalidInputError(f"a brush's rle must be a list of bytes, not {_short(rle)}")
    if data.min() < 0 or data.max() > 255:
        raise InvalidInputError(
            f"a brush's rle must hold numbers from 0 to 255, not {data.min()} to {data.max()}"
        )
    return data.astype(np.uint8)


def _short(rle: object) -> str:
    text = repr(rle)
    return text if len(text) <= 40 else f"{text[:40]}…"


class _Bits:
    """Reads from bits of any alignment through 40-bit windows, one starting at every byte."""

    def __init__(self, data: npt.NDArray[np.uint8]) -> None:
        padded = np.concatenate([data, np.zeros(4, np.uint8)]).astype(np.int64)
        self._n_bits = len(data) * 8
        n = len(data)
        self._windows = np.zeros(n, np.int64)
        for k in range(5):
            self._windows |= padded[k : n + k] << (32 - 8 * k)

    def read(self, position: int, n_bits: int) -> int:
        """The number in up to 32 bits."""
        window = int(self._windows[position >> 3])
        return window >> (40 - n_bits - (position & 7)) & ((1 << n_bits) - 1)

    def tokens(
        self, n_bytes: int, widths: list[int]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Walk over all tokens.

        Returns:
            The end of each token's bytes, shape (T,); its repeated value, 0 for literals, shape
            (T,) uint8; and for each literal its first byte, number of bytes and position in the
            bits, shape (L, 3).
        """
        windows = self._windows.tolist()
        n_bits = self._n_bits
        masks = [(1 << width) - 1 for width in widths]
        ends, values, literals = [], [], []
        position, done = _HEADER_BITS, 0
        while done < n_bytes:
            if position >= n_bits:
                break
            window, offset = windows[position >> 3], position & 7
            choice = window >> (37 - offset) & 3
            shift = 37 - offset - widths[choice]
            count = (window >> shift & masks[choice]) + 1
            position += 3 + widths[choice]
            if window >> (39 - offset) & 1:
                values.append(window >> (shift - 8) & 255)
                position += 8
            else:
                literals.append((done, count, position))
                values.append(0)
                position += 8 * count
            done += count
            ends.append(done)
        if done != n_bytes or position > n_bits:
            raise InvalidInputError(f"the brush's bytes end at {done} of {n_bytes}")
        return (
            np.array(ends, np.int64),
            np.array(values, np.uint8),
            np.array(literals, np.int64).reshape(-1, 3),
        )

    def literal_alpha(
        self, literals: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """Pixel index, shape (P,), and opacity, shape (P,) uint8, of the literals' alpha bytes."""
        first, counts, positions = literals.T
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        target = np.repeat(first, counts) + offsets
        is_alpha = target % _CHANNELS == _CHANNELS - 1
        source = (np.repeat(positions, counts) + 8 * offsets)[is_alpha]
        opacity = self._windows[source >> 3] >> (32 - (source & 7)) & 0xFF
        return target[is_alpha] // _CHANNELS, opacity.astype(np.uint8)
