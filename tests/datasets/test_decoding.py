"""Image files of every kind that browsers show, and those that are damaged."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from sam_backend.datasets import decoding
from sam_backend.datasets.decoding import decode_image, file_suffix, image_size, is_first_of_several
from sam_backend.errors import ImageDecodeError

ORIENTATION = 0x0112


def picture(height: int = 20, width: int = 30) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    channels = [rows * 255 // height, columns * 255 // width, (rows + columns) % 256]
    return np.stack(channels, axis=2).astype(np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP", "JPEG", "JPEG2000"])
def test_formats(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = decode_image(encoded(Image.fromarray(picture()), kind, **options))
    assert pixels.shape == (20, 30, 3)
    assert pixels.dtype == np.uint8
    tolerance = {"GIF": 60, "JPEG": 30, "JPEG2000": 3}.get(kind, 0)
    assert np.abs(pixels.astype(int) - picture()).max() <= tolerance


# How each orientation stores an upright picture (EXIF 2.32, table 6).
STORED = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: np.swapaxes(upright, 0, 1),
    6: np.rot90,
    7: lambda upright: np.rot90(np.swapaxes(upright, 0, 1), 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_orientation_is_applied(orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](picture())))
    assert np.array_equal(decode_image(encoded(stored, exif=exif)), picture())


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "WEBP"])
def test_orientation_is_applied_once_in_every_format(kind: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    stored = Image.fromarray(np.ascontiguousarray(STORED[6](picture())))
    pixels = decode_image(encoded(stored, kind, exif=exif, **options.get(kind, {})))
    assert pixels.shape == (20, 30, 3)
    assert np.abs(pixels.astype(int) - picture()).max() <= 4


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0II*\0\xff\xff\xff\xff broken", b"Exif\0\0", b"Exif\0\0XX", b"\xff" * 40],
)
def test_damaged_exif_is_no_reason_to_refuse(exif: bytes) -> None:
    for kind in ("PNG", "WEBP"):
        data = encoded(Image.fromarray(picture()), kind, exif=exif, lossless=True)
        assert np.array_equal(decode_image(data), picture())


def test_a_senseless_orientation_is_passed_over() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 77
    data = encoded(Image.fromarray(picture()), exif=exif)
    assert np.array_equal(decode_image(data), picture())


def test_grey_of_sixteen_bits_keeps_its_high_byte() -> None:
    deep = (np.arange(600, dtype=np.uint16) * 109).reshape(20, 30)
    pixels = decode_image(encoded(Image.fromarray(deep)))
    assert np.array_equal(pixels, np.repeat((deep >> 8).astype(np.uint8)[:, :, None], 3, axis=2))


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_deep_tiff_is_stretched(dtype: type) -> None:
    deep = (np.arange(600).reshape(20, 30) + 1000).astype(dtype)
    pixels = decode_image(encoded(Image.fromarray(deep), "TIFF"))
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert (np.diff(pixels[:, :, 0].ravel().astype(int)) >= 0).all()


def test_flat_deep_tiff_is_black() -> None:
    flat = np.full((4, 5), 7.0, np.float32)
    assert not decode_image(encoded(Image.fromarray(flat), "TIFF")).any()


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_colour_modes(mode: str) -> None:
    image = Image.fromarray(picture()).convert(mode)
    expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(decode_image(encoded(image, "TIFF")), expected)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_white(mode: str) -> None:
    rgba = np.dstack([np.full((4, 6, 3), 40, np.uint8), np.full((4, 6), 255, np.uint8)])
    rgba[:, :3, 3] = 0
    image = Image.fromarray(rgba)
    image = image.quantize(8) if mode == "P" else image.convert(mode)
    pixels = decode_image(encoded(image))
    assert (pixels[:, :3] == 255).all()
    assert (pixels[:, 3:] == 40).all()


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP"])
def test_the_first_frame_counts(kind: str) -> None:
    frames = [Image.new("RGB", (6, 4), color) for color in ("black", "white")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert not decode_image(data).any()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.9])
def test_truncated_files_are_errors(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(ImageDecodeError):
        decode_image(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>Login</html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
    ],
)
def test_other_bytes_are_errors(data: bytes) -> None:
    with pytest.raises(ImageDecodeError, match=f"{len(data)} bytes"):
        decode_image(data)


def empty_png(width: int, height: int) -> bytes:
    """A PNG whose header promises pixels that it does not hold."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(101, 100), (60_000, 60_000)])
def test_too_many_pixels_are_refused_by_the_header(width: int, height: int) -> None:
    with pytest.raises(ImageDecodeError, match=r"over the limit|too large"):
        decode_image(empty_png(width, height), max_pixels=10_000)


def test_the_limit_itself_is_allowed() -> None:
    assert decode_image(encoded(Image.new("RGB", (100, 100))), 10_000).shape == (100, 100, 3)


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [None, 1, 3, 5, 6, 7, 8, 77])
def test_the_size_is_told_without_the_pixels(kind: str, orientation: int | None) -> None:
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    data = encoded(Image.fromarray(picture()), kind, exif=exif)
    assert image_size(data) == decode_image(data).shape[:2]


def test_an_orientation_behind_the_pixels_of_a_png_is_found() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = encoded(Image.fromarray(picture()), exif=exif)
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    moved = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    assert image_size(moved) == decode_image(moved).shape[:2] == (30, 20)


def test_the_size_comes_from_the_header_of_what_is_not_whole() -> None:
    assert image_size(empty_png(101, 100)) == (100, 101)


@pytest.mark.parametrize("data", [b"", b"<html>Login</html>", empty_png(60_000, 60_000)])
def test_no_size_of_what_is_never_decoded(data: bytes) -> None:
    with pytest.raises(ImageDecodeError):
        image_size(data)


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", ".png"), ("JPEG", ".jpeg"), ("GIF", ".gif")])
def test_the_suffix_is_that_of_the_content(kind: str, suffix: str) -> None:
    assert file_suffix(encoded(Image.fromarray(picture()), kind)) == suffix


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **{"photometric": "rgb", **options})
    return stream.getvalue()


def shades(dtype: str, most: float) -> np.ndarray:
    """The picture in other numbers; black and the brightest value are in it."""
    return (picture().astype(np.float64) / picture().max() * most).astype(dtype)


STRETCHED = np.rint(picture() * (255 / picture().max()))


@pytest.mark.parametrize(
    "pixels",
    [
        shades("uint16", 65535),
        shades("uint16", 4095),  # twelve bits of a camera: all but black where the low byte is cut
        shades(">u2", 65535),
        shades("float32", 1.0),
        shades("float32", 3000.0),
        shades("float64", 1.0),
    ],
    ids=lambda pixels: f"{pixels.dtype} up to {pixels.max():g}",
)
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}])
def test_deep_colours_of_tiff_are_stretched_as_grey_is(pixels: np.ndarray, options: dict) -> None:
    data = tiff(pixels, **options)
    assert image_size(data) == (20, 30)
    assert np.abs(decode_image(data) - STRETCHED).max() <= 1


@pytest.mark.parametrize("orientation", STORED)
def test_deep_tiff_is_turned_upright(orientation: int) -> None:
    stored = np.ascontiguousarray(STORED[orientation](shades("uint16", 65535)))
    data = tiff(stored, extratags=[(ORIENTATION, "H", 1, orientation, True)])
    assert image_size(data) == (20, 30)
    assert np.abs(decode_image(data) - STRETCHED).max() <= 1


def test_transparent_pixels_of_deep_tiff_are_white() -> None:
    for most, dtype in ((65535, "uint16"), (1.0, "float32")):
        opacity = np.full((20, 30, 1), most).astype(dtype)
        opacity[:10] = 0
        data = tiff(np.dstack([shades(dtype, most), opacity]), extrasamples=["unassalpha"])
        assert (decode_image(data)[:10] == 255).all()
        assert np.abs(decode_image(data)[10:] - STRETCHED[10:]).max() <= 1


def test_grey_of_many_bits_keeps_its_order() -> None:
    ramp = np.tile(np.linspace(0, 1, 30), (20, 1))
    for pixels in (
        (ramp * 4e9).astype(np.uint32),
        (ramp * 4e9 - 2e9).astype(np.int32),
        (ramp * 6e4 - 3e4).astype(np.int16),
        ramp.astype(np.float64),
        np.where(ramp < 0.1, np.nan, ramp).astype(np.float32),
    ):
        grey = decode_image(tiff(pixels, photometric="minisblack"))[:, :, 0].astype(int)
        assert (np.diff(grey, axis=1) >= 0).all()
        assert (grey[0, 0], grey[0, -1]) == (0, 255)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (
            tiff(np.zeros((20, 30, 5), np.uint8), photometric="minisblack", planarconfig="contig"),
            "TIFF file of 5 channels of 8 bits, which we do not read: save it as grey or RGB",
        ),
        (
            tiff(np.zeros((20, 30, 3), np.float16)),
            "TIFF file of 3 channels of 16 floating-point bits, which we do not read",
        ),
        (
            tiff(np.zeros((3, 20, 30), np.uint16), planarconfig="separate"),
            r"3 channels of 16 bits, each stored by itself \(planar\): save it with interleaved",
        ),
        (
            tiff(picture(), extratags=[(50706, "B", 4, (1, 4, 0, 0), True)]),
            "a camera's raw picture: export it as JPEG or TIFF",
        ),
        (tiff(shades("uint16", 9))[:900], "TIFF"),
        (encoded(Image.fromarray(picture()), "JPEG")[:-300], "its JPEG data is damaged or cut"),
        (encoded(Image.fromarray(picture()), "AVIF")[:-300], "its AVIF data is damaged or cut"),
    ],
)
def test_what_cannot_be_read_says_what_it_is(data: bytes, why: str) -> None:
    with pytest.raises(ImageDecodeError, match=f"cannot be read as an image: .*{why}") as refused:
        decode_image(data)
    assert "Error" not in str(refused.value)


def test_the_preview_of_a_raw_picture_is_no_picture() -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(picture()[::2, ::2], photometric="rgb", subfiletype=1, subifds=1)
        writer.write(picture(), photometric="rgb")
    with pytest.raises(ImageDecodeError, match="a camera's raw picture: export it"):
        decode_image(stream.getvalue())


def test_too_many_pixels_of_deep_tiff_are_refused_by_the_header() -> None:
    data = tiff(shades("uint16", 65535))
    for read in (decode_image, image_size):
        with pytest.raises(ImageDecodeError, match="30 x 20 pixels, over the limit of 100"):
            read(data, max_pixels=100)
    deepest = tiff(np.zeros((20, 30, 4), np.float64), extrasamples=["unassalpha"])
    for read in (decode_image, image_size):
        with pytest.raises(ImageDecodeError, match="4 channels of 64 bits it takes 19200 bytes"):
            read(deepest, max_pixels=1000)
        read(data, max_pixels=1000)


def test_phones_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for kind in ("HEIF", "AVIF"):
        decode_image(encoded(Image.fromarray(picture())))  # registers what is installed
        stored = Image.fromarray(np.ascontiguousarray(np.rot90(picture())))
        data = encoded(stored, kind, quality=95, exif=exif.tobytes())
        assert image_size(data) == (20, 30)
        assert np.abs(decode_image(data).astype(int) - picture()).mean() < 4
    # without the package
    monkeypatch.setattr(decoding, "_known_formats", lambda: ["JPEG"])
    heic = encoded(Image.fromarray(picture()), "HEIF")
    with pytest.raises(ImageDecodeError, match=r"HEIC picture.*pip install '\.\[heic\]'"):
        decode_image(heic)


def test_several_pages_are_noticed() -> None:
    first, second = Image.fromarray(picture()), Image.fromarray(255 - picture())
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        assert not is_first_of_several(encoded(first, kind))
        assert is_first_of_several(encoded(first, kind, save_all=True, append_images=[second]))
    assert not is_first_of_several(encoded(first, "MPO", save_all=True, append_images=[second]))
    assert not is_first_of_several(b"no picture")
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:  # a preview is no page
        writer.write(picture(), photometric="rgb")
        writer.write(picture()[::2, ::2], photometric="rgb", subfiletype=1)
    assert not is_first_of_several(stream.getvalue())
