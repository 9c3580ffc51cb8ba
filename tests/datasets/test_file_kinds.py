"""Files that are no images: each is told what it is."""

import pytest

from sam_backend.datasets.decoding import decode_image, image_size
from sam_backend.datasets.file_kinds import kind_of
from sam_backend.errors import ImageDecodeError

KINDS = [
    (b"", "it is empty"),
    (bytes(5000), "zeros only"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG drawing, which has no pixels"),
    (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- Inkscape -->\n<svg/>", "SVG drawing"),
    (b"\n<!DOCTYPE html><html>log in</html>", "web page: its address may ask for a login"),
    (b"<Error><Code>AccessDenied</Code></Error>", "a storage's error message"),
    (b'{"detail": "not found"}', "JSON text"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "Git LFS pointer"),
    (b"%PDF-1.7", "PDF document"),
    (b"8BPS\x00\x01", "Photoshop"),
    (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(40), "HEIC"),
    (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isom" + bytes(40), "video"),
    (b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x00isom" + bytes(40), "camera's raw picture"),
    (b"II*\x00\x10\x00\x00\x00CR\x02\x00", "camera's raw picture"),
    (b"RIFF\x00\x00\x00\x00AVI LIST", "video"),
    (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "WebP data is damaged"),
    (b"\xff\xd8\xff\xe0\x00\x10JFIF", "JPEG data is damaged or cut short"),
    (b"\x89PNG\r\n\x1a\n", "PNG data is damaged or cut short"),
    (bytes(128) + b"DICM", "DICOM"),
    (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X", "side file of macOS"),
    (b"hello world", "it starts as none of the formats"),
]


@pytest.mark.parametrize(("data", "told"), KINDS)
def test_kinds(data: bytes, told: str) -> None:
    assert told in kind_of(data)
    for read in (decode_image, image_size):
        with pytest.raises(ImageDecodeError, match="cannot be read as an image") as refused:
            read(data)
        assert told in str(refused.value)
        assert "Error:" not in str(refused.value)
