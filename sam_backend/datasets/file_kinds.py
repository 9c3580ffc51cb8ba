"""What a file seems to be that cannot be read as an image, in words that tell what to do."""

from typing import Final

_LOOKED_AT_BYTES: Final = 4096

# By what the file starts with; formats that Pillow reads are damaged if they come here.
_BY_START: Final[tuple[tuple[bytes, str], ...]] = (
    (
        b"version https://git-lfs",
        "it is a Git LFS pointer, not the file itself: `git lfs pull` fetches it",
    ),
    (b"\xff\xd8\xff", "its JPEG data is damaged or cut short"),
    (b"\x89PNG", "its PNG data is damaged or cut short"),
    (b"GIF8", "its GIF data is damaged or cut short"),
    (b"BM", "its BMP data is damaged, cut short, or of a kind that we do not read"),
    (b"\x00\x00\x00\x0cjP", "its JPEG 2000 data is damaged or cut short"),
    (b"\xff\x4f\xff\x51", "its JPEG 2000 data is damaged or cut short"),
    (b"%PDF", "it is a PDF document: export its pages as PNG or JPEG"),
    (b"8BPS", "it is a Photoshop file: export it as PNG or JPEG"),
    (b"v/1\x01", "it is an OpenEXR image of high dynamic range: export it as PNG"),
    (b"#?R", "it is a Radiance image of high dynamic range: export it as PNG"),
    (b"\xff\x0a", "it is a JPEG XL image: export it as PNG or JPEG"),
    (b"\x00\x00\x00\x0cJXL", "it is a JPEG XL image: export it as PNG or JPEG"),
    (b"\x00\x05\x16\x07", "it is a side file of macOS, not the picture itself: leave it out"),
    (b"FUJIFILMCCD-RAW", "it is a camera's raw picture: export it as JPEG or TIFF"),
    (b"IIRO", "it is a camera's raw picture: export it as JPEG or TIFF"),
    (b"IIU\x00", "it is a camera's raw picture: export it as JPEG or TIFF"),
    (b"\x00\x00\x01\x00", "it is an icon: export it as PNG"),
    (b"PK\x03\x04", "it is a ZIP archive: unpack it"),
    (b"\x1f\x8b", "it is compressed with gzip: unpack it"),
    (b"\x1aE\xdf\xa3", "it is a video: export its frames as PNG or JPEG"),
    (b"\x89HDF", "it is an HDF5 file: export its pictures as PNG"),
    (b"\x93NUMPY", "it is a NumPy array: export it as PNG"),
)
_BY_TEXT: Final[tuple[tuple[bytes, str], ...]] = (
    (b"<!doctype html", "it is a web page: its address may ask for a login, or be wrong"),
    (b"<html", "it is a web page: its address may ask for a login, or be wrong"),
    (b"<?xml", "it is an XML text, perhaps a storage's error message"),
    (b"<error", "it is an XML text, perhaps a storage's error message"),
    (b"{", "it is a JSON text, perhaps a server's error message"),
)
_HEIC_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def kind_of(data: bytes) -> str:
    """Tell what a file seems to be, as a clause that goes on after "cannot be read as an image:".

    Args:
        data: The whole file, or its first 4096 bytes.
    """
    start = data[:_LOOKED_AT_BYTES]
    if not start:
        return "it is empty"
    if not any(start):
        return "it holds zeros only, as a copy does that was broken off"
    if start[4:8] == b"ftyp":
        return _of_media(start)
    if start[:4] in (b"II*\x00", b"MM\x00*") and start[8:10] == b"CR":
        return "it is a camera's raw picture: export it as JPEG or TIFF"
    if start[:4] == b"RIFF":
        is_webp = start[8:12] == b"WEBP"
        return (
            "its WebP data is damaged or cut short"
            if is_webp
            else "it is a sound or a video: export its frames as PNG or JPEG"
        )
    if start[128:132] == b"DICM":
        return "it is a DICOM file: export its pictures as PNG"
    for known, told in _BY_START:
        if start.startswith(known):
            return told
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"<svg" in text and text.startswith((b"<svg", b"<?xml", b"<!")):
        return "it is an SVG drawing, which has no pixels: export it as PNG"
    for known, told in _BY_TEXT:
        if text.startswith(known):
            return told
    # None of its bytes: where a stranger has named the address, they may be a secret.
    return (
        "it starts as none of the formats that we read (AVIF, BMP, GIF, HEIC, JPEG, JPEG 2000, "
        "PNG, PPM, TIFF, WebP)"
    )


def _of_media(start: bytes) -> str:
    """Name the format of a file with an ISO media header, by its brands."""
    brands = [start[8:12], *(start[at : at + 4] for at in range(16, 64, 4))]
    if brands[0] in (b"avif", b"avis"):
        return "its AVIF data is damaged or cut short"
    if brands[0] in _HEIC_BRANDS:
        return (
            "it is a HEIC picture, and either damaged or without the package that reads it: "
            "pip install '.[heic]' or export it as JPEG"
        )
    if brands[0] == b"crx ":
        return "it is a camera's raw picture: export it as JPEG or TIFF"
    return "it is a video: export its frames as PNG or JPEG"
