"""Our brush format against label_studio_sdk's, on one mask of 1800x1200 pixels.

Prints milliseconds and the ratio, which is what may be compared between machines.
"""

import time
from collections.abc import Callable

import numpy as np
from label_studio_sdk.converter.brush import decode_rle, mask2rle

from sam_backend.labelstudio.regions.rle_pack import pack, unpack


def milliseconds(run: Callable[[], object], n_rounds: int) -> float:
    """The fastest of several rounds."""
    times = []
    for _ in range(n_rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times) * 1000


def main() -> None:
    """Compare both directions."""
    y, x = np.mgrid[:1200, :1800]
    mask = ((y - 600) / 400) ** 2 + ((x - 900) / 700) ** 2 < 1
    white = np.where(mask, 255, 0).astype(np.uint8)
    packed = pack(mask)
    for name, ours, theirs in (
        ("pack", lambda: pack(mask), lambda: mask2rle(white)),
        ("unpack", lambda: unpack(packed, mask.shape), lambda: decode_rle(packed)),
    ):
        fast, slow = milliseconds(ours, 10), milliseconds(theirs, 2)
        print(f"{name}: {fast:.1f} ms, SDK {slow:.1f} ms, ratio {slow / fast:.0f}")


if __name__ == "__main__":
    main()
