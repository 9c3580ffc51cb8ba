"""Image files to pixels, as the annotator's browser shows them."""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from sam_backend.errors import ImageDecodeError

# Raster formats that browsers or storages hold. A closed list keeps hostile files away from
# Pillow's rarer readers (EPS starts Ghostscript).
FORMATS: Final = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")

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


def decode_image(data: bytes, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """Decode a file to RGB, shape (H, W, 3) uint8, upright as its EXIF orientation says.

    The pixel count is checked from the header, before anything is decoded. 16-bit grey keeps its
    high byte, as browsers do (other deep formats, which browsers do not show, are stretched from
    their minimum to their maximum); transparent pixels are laid on white; of an animation or a
    multi-page file the first frame counts.

    Args:
        data: The file.
        max_pixels: Largest width times height. Pillow's own guard against decompression bombs
            (twice `PIL.Image.MAX_IMAGE_PIXELS`, 179 million pixels unless changed) holds too.

    Raises:
        ImageDecodeError: No image, a format not in `FORMATS`, damaged, cut short, or too large.
    """
    with _opened(data, max_pixels) as image:
        image.load()
        return _rgb(_upright(image), is_png=image.format == "PNG")


def image_size(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) of what `decode_image` would give, from the header where that tells.

    Raises:
        ImageDecodeError: No image, a format not in `FORMATS`, or too large. Damage behind the
            header may go unseen.
    """
    with _opened(data, max_pixels) as image:
        if image.format == "TIFF":
            image.load()  # which turns it; before, the size is one or the other by Pillow's version
        width, height = image.size
        turn = _TURNS.get(_orientation(image)) if _may_be_turned(image, data) else None
        return (width, height) if turn in _SWAPS_SIDES else (height, width)


def file_suffix(data: bytes) -> str:
    """What the name of such a file ends with, by its content: `.png`, `.jpeg`, …

    Raises:
        ImageDecodeError: No image, or a format not in `FORMATS`.
    """
    with _opened(data, MAX_PIXELS) as image:
        return f".{image.format}".lower()


@contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """The image by its header; whatever Pillow raises inside becomes our error."""
    try:
        with Image.open(io.BytesIO(data), formats=_known_formats()) as image:
            _check_size(image.size, max_pixels)
            yield image
    except ImageDecodeError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageDecodeError(f"the image is refused as too large: {error}") from None
    except Exception as error:  # Pillow's readers raise nearly anything on hostile bytes
        raise ImageDecodeError(
            f"{len(data)} bytes starting with {data[:8].hex(' ') or 'nothing'} cannot be read as "
            f"an image: {type(error).__name__}"
        ) from None


def _known_formats() -> list[str]:
    Image.init()
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


def _rgb(image: Image.Image, is_png: bool) -> npt.NDArray[np.uint8]:
    if image.mode.startswith("I") or image.mode == "F":
        grey = _eight_bits(np.asarray(image), is_png)
        return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, rgba)
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _eight_bits(values: npt.NDArray[np.generic], is_png: bool) -> npt.NDArray[np.uint8]:
    """Deep grey values, shape (H, W), to uint8."""
    deep = values.astype(np.float64)
    if is_png:
        return np.clip(deep // 256, 0, 255).astype(np.uint8)
    deep = np.nan_to_num(deep, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(deep.min()), float(deep.max())
    scale = 255.0 / (high - low) if high > low else 0.0
    return np.rint((deep - low) * scale).astype(np.uint8)
