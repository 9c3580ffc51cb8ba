"""An image's identity and size, without decoding it."""

import hashlib
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
        raise ImageDecodeError(f"{path} cannot be read: {error.strerror}") from error
    if not is_file:
        raise FileNotFoundError(f"there is no image file {path}")
    return data


def digest_of(data: bytes) -> str:
    """The image's identity: sha256 of its bytes, lower-case hex."""
    return hashlib.sha256(data).hexdigest()
