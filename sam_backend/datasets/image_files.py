"""An image's identity and size, without decoding it."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from sam_backend.datasets.decoding import image_size
from sam_backend.errors import ImageDecodeError


@dataclass(frozen=True, slots=True)
class ImageFile:
    """What the file says of itself.

    Attributes:
        digest: sha256 of the bytes, lower-case hex.
        size: (height, width) in pixels, after EXIF rotation.
    """

    digest: str
    size: tuple[int, int]


def examine(path: Path) -> ImageFile:
    """Digest and size of an image file. Its pixels may turn out to be damaged nevertheless.

    Raises:
        FileNotFoundError: There is no such file.
        ImageDecodeError: It cannot be read, or is no image.
    """
    data = read_bytes(path)
    return ImageFile(digest_of(data), image_size(data))


def read_bytes(path: Path) -> bytes:
    """The bytes of a regular file; a pipe or a device would never end.

    Raises:
        FileNotFoundError: There is no such file.
        ImageDecodeError: It cannot be read.
    """
    try:
        is_file = path.is_file()
        data = path.read_bytes() if is_file else b""
    except OSError as error:  # no permission, a name that is too long
        reason = f"{readable_name(path)} cannot be read: {error.strerror}"
        raise ImageDecodeError(reason) from error
    if not is_file:
        raise FileNotFoundError(f"there is no image file {readable_name(path)}")
    return data


def digest_of(data: bytes) -> str:
    """The image's identity: sha256 of its bytes, lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def readable_name(path: Path | str) -> str:
    r"""A path as text that terminals, JSON, databases and Parquet take; `path_named` goes back.

    Linux's file names are bytes. Those that are no UTF-8, and control characters, become `\xNN`.
    """
    text = _bytes_of(path).decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def path_named(name: str) -> Path:
    """The path that `readable_name` wrote so."""
    path = Path(name)
    if _ESCAPED.search(name) is None or os.path.lexists(path):
        return path  # a name may have a backslash of its own
    escaped = os.fsencode(name)
    return Path(os.fsdecode(_ESCAPED_BYTES.sub(lambda found: bytes([int(found[1], 16)]), escaped)))


def _bytes_of(path: Path | str) -> bytes:
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:  # half of a character, as JSON can write it: no file has this name
        return str(path).encode("utf-8", "surrogatepass")


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
_ESCAPED_BYTES = re.compile(rb"\\x([0-9a-f]{2})")
