"""Names of image files that come from elsewhere, fit to be written to a disk."""

import re
from collections.abc import Iterable
from itertools import chain, count
from pathlib import PurePosixPath
from typing import Final

IMAGE_SUFFIXES: Final = frozenset(
    f".{ending}"
    for ending in (
        *("avif", "bmp", "gif", "heic", "heif", "jfif", "jp2", "jpe", "jpeg", "jpg", "mpo"),
        *("pgm", "png", "ppm", "tif", "tiff", "webp"),
    )
)

# What Windows forbids in names, and control characters.
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f\x7f]')
_MOST_BYTES = 200  # of the 255 that file systems take: a digest and a temporary suffix follow


def safe_file_name(name: str) -> str:
    """The last part of a path as a file name; empty where nothing of it is left."""
    base = name.replace("\\", "/").rpartition("/")[2]
    readable = base.encode(errors="replace").decode()  # lone surrogates are no UTF-8
    clean = _FORBIDDEN.sub("_", readable).strip(" .")
    suffix = PurePosixPath(clean).suffix
    if suffix.lower() not in IMAGE_SUFFIXES:
        suffix = ""
    stem = clean.removesuffix(suffix).encode()[:_MOST_BYTES].decode(errors="ignore")
    return f"{stem.strip(' .')}{suffix}"


def with_image_suffix(name: str, suffix: str) -> str:
    """The name, with a suffix after it where it does not end like an image; empty stays empty."""
    if not name or PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES:
        return name
    return name + suffix


def free_name(wanted: Iterable[str], taken: set[str]) -> str:
    """The first name that is free, which is taken then; the last one with a number if none is.

    Args:
        wanted: Names, the best first; at least one.
        taken: What is taken, case-folded: some disks know `A.json` and `a.json` as one file.
    """
    names = list(wanted)
    numbered = (f"{names[-1]}-{number}" for number in count(2))
    name = next(name for name in chain(names, numbered) if name.casefold() not in taken)
    taken.add(name.casefold())
    return name
