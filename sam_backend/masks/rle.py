"""Run lengths of a mask, as COCO counts them: down the columns, background first."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.errors import InvalidInputError
from sam_backend.masks.types import Mask, check_mask
from sam_backend.masks.whole_numbers import whole_number

_MORE = 0x20
_SIGN = 0x10
_FIRST_LETTER = 48
_OUT_OF_RANGE = "counts must not be negative or longer than an image"


@dataclass(frozen=True, slots=True, eq=False)
class RLE:
    """A mask as alternating run lengths.

    Attributes:
        size: (height, width) in pixels.
        counts: Pixels off, on, off, …, column by column, shape (K,) uint32; the first may be 0.

    Raises:
        InvalidInputError: The runs do not fill the image.
    """

    size: tuple[int, int]
    counts: npt.NDArray[np.uint32]

    def __post_init__(self) -> None:
        height, width = self.size
        total = int(self.counts.sum(dtype=np.uint64))
        if height < 1 or width < 1 or total != height * width:
            raise InvalidInputError(
                f"runs of {total} pixels do not fill an image of {width}x{height} pixels"
            )

    @property
    def area_px(self) -> int:
        """Number of pixels of the mask."""
        return int(self.counts[1::2].sum(dtype=np.uint64))


def encode(mask: Mask) -> RLE:
    """The run lengths of a mask, shape (H, W) bool."""
    height, width = check_mask(mask).shape
    flat = _turned(mask.view(np.uint8)).ravel().view(np.bool_)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    return from_changes(np.concatenate([[0], changes]) if flat[0] else changes, (height, width))


def from_changes(changes: npt.NDArray[np.int64], size: tuple[int, int]) -> RLE:
    """The run lengths of a mask that changes at these pixels, counted down the columns.

    Args:
        changes: Indexes of pixels that differ from the one before, rising, shape (K,); the first
            pixel's is 0 and given if that pixel is on.
        size: (height, width) in pixels.
    """
    counts = np.diff(changes, prepend=0, append=size[0] * size[1])
    return RLE(size, counts.astype(np.uint32))


def decode(rle: RLE) -> Mask:
    """The mask of run lengths, shape (H, W) bool."""
    height, width = rle.size
    is_on = np.arange(len(rle.counts), dtype=np.uint8) & 1
    columns = np.repeat(is_on, rle.counts).reshape(width, height)
    mask: Mask = _turned(columns).view(np.bool_)
    return mask


def box(rle: RLE) -> tuple[slice, slice] | None:
    """The smallest rows and columns that hold all pixels of a mask; None if it has none."""
    ends = np.cumsum(rle.counts, dtype=np.int64)
    pairs = ends[: len(ends) // 2 * 2].reshape(-1, 2)
    runs = pairs[pairs[:, 1] > pairs[:, 0]]
    if not len(runs):
        return None
    height = rle.size[0]
    (first, top), (last, bottom) = np.divmod(runs[:, 0], height), np.divmod(runs[:, 1] - 1, height)
    columns = slice(int(first[0]), int(last[-1]) + 1)
    if (first != last).any():  # a run that goes on in the next column holds a column's end and top
        top, bottom = np.append(top, 0), np.append(bottom, height - 1)
    return slice(int(top.min()), int(bottom.max()) + 1), columns


def decode_part(rle: RLE, rows: slice, columns: slice) -> Mask:
    """Some rows and columns of a mask, shape (rows, columns) bool, without making the rest.

    Args:
        rle: The mask.
        rows: With start and stop, within the image.
        columns: Likewise.
    """
    height = rle.size[0]
    ends = np.cumsum(rle.counts, dtype=np.int64)
    inside = np.clip(ends, columns.start * height, columns.stop * height)
    counts = np.diff(inside, prepend=columns.start * height)
    is_on = np.arange(len(counts), dtype=np.uint8) & 1
    part = np.repeat(is_on, counts).reshape(columns.stop - columns.start, height)
    mask: Mask = _turned(np.ascontiguousarray(part[:, rows])).view(np.bool_)
    return mask


def place(rle: RLE, at: tuple[int, int], size: tuple[int, int]) -> RLE:
    """A crop's mask in its whole image, without making either.

    Args:
        rle: The mask of the crop.
        at: The crop's upper left pixel in the image, x before y.
        size: (height, width) of the image.

    Raises:
        InvalidInputError: The crop does not lie within the image.
    """
    (height, width), (x, y) = rle.size, at
    if min(x, y) < 0 or x + width > size[1] or y + height > size[0]:
        raise InvalidInputError(
            f"a crop of {width}x{height} pixels at {x}, {y} does not lie within an image of "
            f"{size[1]}x{size[0]} pixels"
        )
    ends = np.cumsum(rle.counts, dtype=np.int64)
    runs = ends[: len(ends) // 2 * 2].reshape(-1, 2)
    starts, stops = runs[runs[:, 1] > runs[:, 0]].T
    # A run over several columns is cut into one part for each: in the image they lie apart.
    first = starts // height
    n_columns = (stops - 1) // height - first + 1
    column = np.repeat(first, n_columns) + _count_up(n_columns)
    top = np.maximum(np.repeat(starts, n_columns), column * height)
    bottom = np.minimum(np.repeat(stops, n_columns), (column + 1) * height)
    shift = (x + column) * size[0] + y - column * height
    changes: npt.NDArray[np.int64] = np.stack([top + shift, bottom + shift], axis=1).ravel()
    # Parts that touch, of a crop as high as its image, become one again.
    touches = np.flatnonzero(changes[2::2] == changes[1:-1:2])
    changes = np.delete(changes, np.concatenate([2 * touches + 1, 2 * touches + 2]))
    if len(changes) and changes[-1] == size[0] * size[1]:
        changes = changes[:-1]
    return from_changes(changes, size)


def _count_up(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """0, 1, … below each length, one after the other."""
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _turned(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Rows as columns; OpenCV goes block by block, several times faster than a strided copy."""
    return cv2.transpose(pixels).reshape(pixels.shape[::-1]).view(np.uint8)


def to_coco(rle: RLE) -> dict[str, object]:
    """`{"size": [H, W], "counts": str}` with pycocotools' compressed counts.

    Each count from the fourth on is written as its difference to the one two before; each number in
    groups of 5 bits, lowest first, as letters from "0" on (pycocotools, common/maskApi.c).
    """
    numbers = rle.counts.astype(np.int64)
    numbers[3:] -= rle.counts[1:-2].astype(np.int64)
    groups = numbers[:, None] >> np.arange(0, 35, 5)
    # A number ends at the first group after which only its sign repeats.
    is_rest_sign = (groups >> 5) == -((groups & _SIGN) >> 4)
    n_groups = is_rest_sign.argmax(axis=1) + 1
    position = np.arange(groups.shape[1])
    letters = (groups & 0x1F) + np.where(position < n_groups[:, None] - 1, _MORE, 0)
    text = (letters[position < n_groups[:, None]] + _FIRST_LETTER).astype(np.uint8)
    return {"size": list(rle.size), "counts": text.tobytes().decode("ascii")}


def from_coco(segmentation: Mapping[str, object]) -> RLE:
    """Run lengths of COCO's dictionary, with compressed (str or bytes) or plain (list) counts.

    Raises:
        InvalidInputError: Size or counts are missing or damaged.
    """
    size, counts = segmentation.get("size"), segmentation.get("counts")
    sides = [whole_number(side) for side in size] if isinstance(size, list | tuple) else []
    height, width = sides if len(sides) == 2 else (None, None)
    if height is None or width is None:
        raise InvalidInputError(f"size must be [height, width], not {size!r:.60}")
    if isinstance(counts, str):
        counts = counts.encode(errors="surrogatepass")
    if isinstance(counts, bytes):
        numbers = _decompress(counts)
    elif isinstance(counts, list):
        numbers = _plain(counts)
    else:
        raise InvalidInputError(f"counts must be a text or a list, not {type(counts).__name__}")
    if numbers.min(initial=0) < 0 or numbers.max(initial=0) >= 1 << 32:
        raise InvalidInputError(_OUT_OF_RANGE)
    return RLE((height, width), numbers.astype(np.uint32))


def _plain(counts: list[object]) -> npt.NDArray[np.int64]:
    whole = counts
    if not all(type(count) is int for count in counts):
        whole = [whole_number(count) for count in counts]
        if None in whole:
            raise InvalidInputError("counts must be whole numbers")
    try:
        return np.array(whole, dtype=np.int64)
    except OverflowError:
        raise InvalidInputError(_OUT_OF_RANGE) from None


def _decompress(letters: bytes) -> npt.NDArray[np.int64]:
    groups = np.frombuffer(letters, np.uint8).astype(np.int64) - _FIRST_LETTER
    if len(groups) == 0:
        return np.zeros(0, np.int64)
    is_last = (groups & _MORE) == 0
    if groups.min() < 0 or groups.max() >= 2 * _MORE or not is_last[-1]:
        raise InvalidInputError("the compressed counts hold letters that are not pycocotools'")
    ends = np.flatnonzero(is_last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    n_groups = ends - starts + 1
    if n_groups.max() > 7:
        raise InvalidInputError("the compressed counts hold a number of more than 32 bits")
    position = np.arange(len(groups)) - np.repeat(starts, n_groups)
    numbers = np.add.reduceat((groups & 0x1F) << (5 * position), starts)
    numbers -= ((groups[ends] & _SIGN) >> 4) << (5 * n_groups)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
