"""Run lengths of a mask, as COCO counts them: down the columns, background first."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sam_backend.errors import InvalidInputError
from sam_backend.masks.types import Mask, check_mask

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
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(edges, prepend=0, append=flat.size)
    if flat[0]:
        counts = np.concatenate([[0], counts])
    return RLE((height, width), counts.astype(np.uint32))


def decode(rle: RLE) -> Mask:
    """The mask of run lengths, shape (H, W) bool."""
    height, width = rle.size
    is_on = np.arange(len(rle.counts)) % 2 == 1
    return np.ascontiguousarray(np.repeat(is_on, rle.counts).reshape(width, height).T)


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
    if (
        not isinstance(size, list | tuple)
        or len(size) != 2
        or not all(isinstance(side, int) for side in size)
    ):
        raise InvalidInputError(f"size must be [height, width], not {size!r}")
    if isinstance(counts, str):
        counts = counts.encode(errors="surrogatepass")
    if isinstance(counts, bytes):
        numbers = _decompress(counts)
    elif isinstance(counts, list) and all(isinstance(count, int) for count in counts):
        numbers = _plain(counts)
    else:
        raise InvalidInputError(f"counts must be a text or a list, not {type(counts).__name__}")
    if numbers.min(initial=0) < 0 or numbers.max(initial=0) >= 1 << 32:
        raise InvalidInputError(_OUT_OF_RANGE)
    return RLE((size[0], size[1]), numbers.astype(np.uint32))


def _plain(counts: list[int]) -> npt.NDArray[np.int64]:
    try:
        return np.array(counts, dtype=np.int64)
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
