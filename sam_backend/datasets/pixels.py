"""The pixels of a labelled image."""

import numpy as np
import numpy.typing as npt

from sam_backend.datasets.decoding import MAX_PIXELS, decode_image
from sam_backend.datasets.image_files import read_bytes, readable_name
from sam_backend.datasets.types import LabelledImage
from sam_backend.errors import ImageDecodeError


def read_pixels(image: LabelledImage, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """Decode an image to RGB, shape (H, W, 3) uint8, upright, of the image's `size`.

    Args:
        image: From any reader, which has looked at its header only.
        max_pixels: Largest width times height.

    Raises:
        ImageDecodeError: The file is gone, damaged, too large, or has another size by now.
    """
    where = readable_name(image.path)
    try:
        pixels = decode_image(read_bytes(image.path), max_pixels)
    except (FileNotFoundError, ImageDecodeError) as error:
        raise ImageDecodeError(f"image {image.name} of {where}: {error}") from error
    if pixels.shape[:2] != image.size:
        raise ImageDecodeError(
            f"image {image.name} of {where} has (height, width) {pixels.shape[:2]}, "
            f"its masks have {image.size}"
        )
    return pixels
