"""Regions that claim to lie on an image of any size, and what reading them takes in memory."""

import base64
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PEAK_BYTES = 100e6
"""Less than one mask of 13,000 x 13,000 pixels takes."""


def forged(kind: str, side: int, number: int = 0) -> dict[str, Any]:
    """A region that claims an image of so many pixels a side, and has a shape for them."""
    values = {
        "brush": lambda: {"format": "rle", "rle": _brush(side)},
        "ellipse": lambda: {"x": 50, "y": 50, "radiusX": 40, "radiusY": 40},
        "polygon": lambda: {"points": [[0, 0], [100, 0], [50, 100]], "closed": True},
        "rectangle": lambda: {"x": 1, "y": 1, "width": 98, "height": 98},
        "bitmask": lambda: {"imageDataURL": "data:image/png;base64," + _png(side)},
    }
    return {
        "id": f"{kind}{side}{number or ''}",
        "type": f"{kind}labels",
        "from_name": kind,
        "to_name": "image",
        "original_width": side,
        "original_height": side,
        "value": values[kind]() | {f"{kind}labels": ["Car"]},
    }


class Peak:
    """What was allocated at once, at the most.

    Attributes:
        bytes: So many.
    """

    bytes = 0


@contextmanager
def traced_peak() -> Iterator[Peak]:
    """Measures what Python and NumPy allocate within."""
    peak = Peak()
    tracemalloc.start()
    try:
        yield peak
        _, peak.bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()


def _brush(side: int) -> list[int]:
    """All pixels on, in Label Studio's run lengths (`labelstudio/rle_pack.py`)."""
    left = 4 * side * side
    bits = [f"{left:032b}", f"{7:05b}", *(f"{width - 1:04b}" for width in (3, 4, 8, 16))]
    while left:
        count = min(left, 1 << 16)
        bits.append(f"111{count - 1:016b}{255:08b}")
        left -= count
    joined = "".join(bits)
    joined += "0" * (-len(joined) % 8)
    return list(int(joined, 2).to_bytes(len(joined) // 8, "big"))


def _png(side: int) -> str:
    """A bitmask of one bit a pixel, all of them opaque, in base64."""
    row = bytes(1 + -(-side // 8))
    packer = zlib.compressobj()
    data = b"".join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)),
        (b"IDAT", data),
        (b"IEND", b""),
    )
    told = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    return base64.b64encode(told).decode()
