"""Image files to pixels, as the annotator's browser shows them."""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from sam_backend.datasets.deep_tiff import TiffLayout, has_more_pages, read_deep_tiff, tiff_layout
from sam_backend.datasets.file_kinds import kind_of
from sam_backend.errors import ImageDecodeError

# Raster formats that browsers or storages hold. A closed list keeps hostile files away from
# Pillow's rarer readers (EPS starts Ghostscript).
FORMATS: Final = (
    "AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP",
)  # fmt: skip

# What makes an image upright, by its EXIF orientation (EXIF 2.32, tag 0x0112). Not Pillow's
# exif_transpose: it also writes the EXIF data anew, and fails if any of it is damaged.
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES: Final = tuple(_TURNS[orientation] for orientation in (5, 6, 7, 8))

# The chunks of a PNG that may hold EXIF data or XMP.
_PNG_NOTES: Final = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")


MAX_PIXELS: Final = 200_000_000
_ROWS_AT_ONCE: Final = 256
_PIXEL_BYTES: Final = 4
"""Bytes that a pixel takes as RGBA; one of a deep picture takes up to eight times as many."""


def decode_image(data: bytes, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """Decode a file to RGB, shape (H, W, 3) uint8, upright as its EXIF orientation says.

    The pixel count is checked from the header, before anything is decoded. A PNG of 16 bits keeps
    its high byte, as browsers do; other deep formats, which browsers do not show, are stretched
    from their minimum to their maximum, all colours alike. Transparent pixels are laid on white; of
    an animation or a multi-page file the first frame counts. HEIC needs the extra `heic`.

    Args:
        data: The file.
        max_pixels: Largest width times height; deep pixels of more than four bytes count for more.
            Pillow's own guard against decompression bombs (twice `PIL.Image.MAX_IMAGE_PIXELS`, 179
            million pixels unless changed) holds too.

    Raises:
        ImageDecodeError: No image, a format not in `FORMATS`, damaged, cut short, or too large. The
            message says what the file seems to be.
    """
    layout = _checked_layout(data, max_pixels)
    if layout is not None and layout.is_deep:
        return _rgb_of_deep(_read_deep(data))
    with _opened(data, max_pixels) as image:
        image.load()
        is_unsigned = layout is not None and layout.is_unsigned
        return _rgb(_upright(image), image.format == "PNG", is_unsigned)


def image_size(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) of what `decode_image` would give, from the header where that tells.

    Raises:
        ImageDecodeError: No image, a format not in `FORMATS`, or too large. Damage behind the
            header may go unseen.
    """
    layout = _checked_layout(data, max_pixels)
    if layout is not None and layout.is_deep:
        return layout.size
    with _opened(data, max_pixels) as image:
        if image.format == "TIFF":
            image.load()  # which turns it; before, the size is one or the other by Pillow's version
        width, height = image.size
        turn = _TURNS.get(_orientation(image)) if _may_be_turned(image, data) else None
        return (width, height) if turn in _SWAPS_SIDES else (height, width)


def decode_levels(data: bytes, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.int32]:
    """Decode a file that stores labels as a picture: its own numbers, not what a browser shows.

    Args:
        data: The file; PNG, BMP, TIFF or another one of `FORMATS`.
        max_pixels: Largest width times height.

    Returns:
        Grey levels or the indexes of a palette, shape (H, W); of a coloured file, shape (H, W, 3).

    Raises:
        ImageDecodeError: As of `decode_image`.
    """
    with _opened(data, max_pixels) as image:
        image.load()
        if image.mode in {"LA", "PA"}:
            image = image.convert(image.mode[0])
        elif image.mode not in {"1", "L", "P", "I", "I;16", "I;16B", "I;16L"}:
            image = image.convert("RGB")
        levels = np.asarray(image).astype(np.int32)
    is_grey = levels.ndim == 3 and bool((levels == levels[..., :1]).all())
    return levels[..., 0] if is_grey else levels


def is_first_of_several(data: bytes) -> bool:
    """Whether `decode_image` gives the first of several pages or frames, the others being lost.

    False for what cannot be read. A phone's second picture in a JPEG file does not count.
    """
    if tiff_layout(data) is not None:
        return has_more_pages(data)
    try:
        with _opened(data, MAX_PIXELS) as image:
            return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except ImageDecodeError:
        return False


def file_suffix(data: bytes) -> str:
    """Return the suffix that fits a file's content, such as `.png` or `.jpeg`.

    Raises:
        ImageDecodeError: No image, or a format not in `FORMATS`.
    """
    with _opened(data, MAX_PIXELS) as image:
        return f".{image.format}".lower()


@contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """The image by its header; whatever Pillow raises inside becomes our error."""
    found: Image.Image | None = None
    try:
        with Image.open(io.BytesIO(data), formats=_known_formats()) as image:
            _check_size(image.size, max_pixels)
            found = image
            yield image
    except ImageDecodeError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageDecodeError(f"the image is refused as too large: {error}") from None
    except Exception:  # Pillow's readers raise nearly anything on hostile bytes
        raise _unreadable(_fault(data, found), data) from None


def _fault(data: bytes, found: Image.Image | None) -> str:
    """Why a file cannot be read; `found`: it could be opened, but not decoded."""
    if found is not None:
        return f"its {found.format} data is damaged or cut short"
    layout = tiff_layout(data)
    if layout is None:
        return kind_of(data)
    return f"{layout.told}, which we do not read: save it as grey or RGB of 8 or 16 bits"


def _unreadable(reason: str, data: bytes) -> ImageDecodeError:
    return ImageDecodeError(f"the file of {len(data)} bytes cannot be read as an image: {reason}")


def _checked_layout(data: bytes, max_pixels: int) -> TiffLayout | None:
    """How a TIFF file stores its pixels; None: it is none.

    Raises:
        ImageDecodeError: It cannot be read rightly, or is too large.
    """
    layout = tiff_layout(data)
    if layout is not None:
        if layout.fault is not None:
            raise _unreadable(layout.fault, data)
        height, width = layout.size
        _check_size((width, height), max_pixels)
        n_bytes = height * width * layout.channels * layout.bits // 8
        if layout.is_deep and n_bytes > _PIXEL_BYTES * max_pixels:
            raise ImageDecodeError(
                f"the image has {width} x {height} pixels, and with {layout.channels} channels of "
                f"{layout.bits} bits it takes {n_bytes} bytes, over the limit of "
                f"{_PIXEL_BYTES * max_pixels}: save it with fewer bits"
            )
    return layout


def _read_deep(data: bytes) -> npt.NDArray[Any]:
    try:
        return read_deep_tiff(data)
    except ImageDecodeError as error:
        raise _unreadable(str(error), data) from None


@cache
def _known_formats() -> list[str]:
    Image.init()
    try:
        from pillow_heif import register_heif_opener
    except ImportError:  # the extra `heic` is not installed
        pass
    else:
        register_heif_opener()
    return [name for name in FORMATS if name in Image.OPEN]


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageDecodeError(
            f"the image has {width} x {height} pixels, over the limit of {max_pixels}"
        )


def _upright(image: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1, upright, where it is missing or damaged."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except (OSError, ValueError, SyntaxError, struct.error):
        return 1  # damaged EXIF data: browsers show such an image as it is stored
    return orientation if isinstance(orientation, int) else 1


def _may_be_turned(image: Image.Image, data: bytes) -> bool:
    """Whether to look for an orientation: Pillow decodes a whole PNG to find one at its end."""
    return image.format != "PNG" or any(chunk in data for chunk in _PNG_NOTES)


def _rgb(image: Image.Image, is_png: bool, is_unsigned: bool) -> npt.NDArray[np.uint8]:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        if is_unsigned and values.dtype == np.int32:
            values = values.view(np.uint32)  # Pillow has no such mode, and keeps the bits
        grey = _eight_bits(values, is_png)
        return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, rgba)
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _rgb_of_deep(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Deep pixels, (H, W), (H, W, 3) or (H, W, 4) with opacity, to RGB, (H, W, 3) uint8."""
    colours = _eight_bits(pixels[:, :, :3] if pixels.ndim == 3 else pixels, is_png=False)
    if colours.ndim == 2:
        return np.repeat(colours[:, :, np.newaxis], 3, axis=2)
    if pixels.shape[2] == 4:
        whole = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1.0
        opacity = np.clip(np.nan_to_num(pixels[:, :, 3:].astype(np.float32)) / whole, 0, 1)
        colours = np.rint(colours * opacity + 255 * (1 - opacity)).astype(np.uint8)
    return colours


def _eight_bits(values: npt.NDArray[Any], is_png: bool) -> npt.NDArray[np.uint8]:
    """Deep values of any shape to uint8; values that are no numbers are black."""
    if is_png:
        return np.clip(values // 256, 0, 255).astype(np.uint8)
    is_finite = np.isfinite(values)
    numbers = values if is_finite.all() else values[is_finite]
    low, high = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 0.0)
    scale = 255.0 / (high - low) if high > low else 0.0
    found = np.zeros(values.shape, np.uint8)
    for row in range(0, len(values), _ROWS_AT_ONCE):  # eight bytes a value, of some rows only
        part, known = values[row : row + _ROWS_AT_ONCE], is_finite[row : row + _ROWS_AT_ONCE]
        deep = np.where(known, part.astype(np.float64), low)
        found[row : row + _ROWS_AT_ONCE] = np.rint((deep - low) * scale)
    return found
