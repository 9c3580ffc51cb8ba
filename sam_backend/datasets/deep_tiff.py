"""TIFF files that Pillow refuses or cuts to eight bits: known by their header, and read."""

import io
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import TiffImagePlugin

from sam_backend.errors import ImageDecodeError

_STARTS: Final = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_RGB: Final = 2
_PREVIEW: Final = 1
_MASK: Final = 4
_MOST_PAGES: Final = 20  # previews of the first page that are passed over
_BIG: Final = 43
# Tags of TIFF 6.0 and of Adobe's DNG specification.
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC = 254, 256, 257, 258, 262
_ORIENTATION, _CHANNELS, _PLANAR, _SUB_IFDS, _FORMAT, _DNG = 274, 277, 284, 330, 339, 50706


@dataclass(frozen=True, slots=True)
class TiffLayout:
    """How a TIFF file's first page stores its pixels.

    Attributes:
        size: (height, width) in pixels, upright.
        channels: Number of channels of a pixel.
        bits: Most bits that a channel has.
        number: 1: unsigned, 2: signed, 3: floating point (tag SampleFormat).
        is_rgb: Its channels are red, green, blue and perhaps opacity.
        is_planar: Each channel lies by itself.
        is_raw: It is a camera's raw picture, of which other readers see the small preview.
    """

    size: tuple[int, int]
    channels: int
    bits: int
    number: int
    is_rgb: bool
    is_planar: bool
    is_raw: bool

    @property
    def is_deep(self) -> bool:
        """`read_deep_tiff` reads it; Pillow would cut it to eight bits, or refuse it."""
        if self.channels == 1:
            return self.number == _FLOAT and self.bits == 64
        is_known = (self.bits, self.number) in ((16, _UNSIGNED), (32, _FLOAT), (64, _FLOAT))
        return self.is_rgb and not self.is_planar and self.channels in (3, 4) and is_known

    @property
    def is_unsigned(self) -> bool:
        """Its channels are whole numbers of 32 bits without a sign."""
        return self.bits == 32 and self.number == _UNSIGNED

    @property
    def fault(self) -> str | None:
        """Why nobody here reads it rightly; None where Pillow or we can."""
        if self.is_raw:
            return "it is a camera's raw picture: export it as JPEG or TIFF"
        if self.is_planar and self.bits > 8 and self.channels > 1:
            return f"{self.told}, each stored by itself (planar): save it with interleaved channels"
        return None

    @property
    def told(self) -> str:
        """What it is, for people."""
        numbers = {_UNSIGNED: "", _SIGNED: " signed", _FLOAT: " floating-point"}
        kind = numbers.get(self.number, " complex")
        return f"it is a TIFF file of {self.channels} channels of {self.bits}{kind} bits"


def tiff_layout(data: bytes) -> TiffLayout | None:
    """What the header of a TIFF file says; None: it is no TIFF file, or its header is damaged."""
    if not data.startswith(_STARTS):
        return None
    try:
        tags = _tags(data)
        width, height = int(tags[_WIDTH]), int(tags[_HEIGHT])
        turned = tags.get(_ORIENTATION, 1) in (5, 6, 7, 8)
        bits, numbers = _numbers(tags.get(_BITS, 1)), _numbers(tags.get(_FORMAT, _UNSIGNED))
        is_preview = bool(int(tags.get(_SUBFILE, 0)) & _PREVIEW) and _SUB_IFDS in tags
        return TiffLayout(
            size=(width, height) if turned else (height, width),
            channels=int(tags.get(_CHANNELS, 1)),
            bits=max(bits),
            number=max(numbers),
            is_rgb=tags.get(_PHOTOMETRIC) == _RGB,
            is_planar=tags.get(_PLANAR, 1) == 2,
            is_raw=_DNG in tags or is_preview,
        )
    except Exception:  # Pillow's reader raises nearly anything on hostile bytes
        return None


def read_deep_tiff(data: bytes) -> npt.NDArray[Any]:
    """Pixels of a file whose layout `is_deep`, upright: (H, W), (H, W, 3) RGB or (H, W, 4) RGBA.

    Raises:
        ImageDecodeError: The file is damaged, or compressed in an unknown way.
    """
    level = cv2.getLogLevel()
    cv2.setLogLevel(0)  # what fails is told by us
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    finally:
        cv2.setLogLevel(level)
    if pixels is None:
        raise ImageDecodeError("its TIFF data is damaged or cut short")
    if pixels.ndim == 2:
        return pixels
    return pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]]  # from OpenCV's order, blue first


def has_more_pages(data: bytes) -> bool:
    """Whether a TIFF file has a second page that is neither a preview nor a mask of the first."""
    if not data.startswith(_STARTS):
        return False
    try:
        tags = _tags(data)
        for _ in range(_MOST_PAGES):
            if not tags.next:
                return False
            tags = _tags(data, tags.next)
            if not int(tags.get(_SUBFILE, 0)) & (_PREVIEW | _MASK):
                return True
    except Exception:  # as above
        return False
    return False


def _tags(data: bytes, at: int | None = None) -> TiffImagePlugin.ImageFileDirectory_v2:
    """The tags of the first page, or of the one that is described at a place of the file."""
    file = io.BytesIO(data)
    header = file.read(8)
    if _BIG in header[2:4]:
        header += file.read(8)
    tags = TiffImagePlugin.ImageFileDirectory_v2(header)
    file.seek(tags.next if at is None else at)
    tags.load(file)
    return tags


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(map(int, value)) if isinstance(value, tuple) else (int(value),)
