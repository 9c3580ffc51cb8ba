"""From an image to the model's square input, and from pixels of one to pixels of the other.

Everything here equals `segment_anything.utils.transforms.ResizeLongestSide`, which the
checkpoints were trained with, except that a very narrow image keeps at least one pixel.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from sam_backend.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class LongestSide:
    """Resizes so that the longest side has `side` pixels.

    Attributes:
        side: Side of the model's square input in pixels.
    """

    side: int

    @property
    def key(self) -> str:
        """Names this preprocessing in cache keys; changes whenever its pixels would."""
        return f"longest{self.side}-pil-bilinear"

    def input_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) after resizing an image of (height, width)."""
        height, width = image_size
        scale = self.side * 1.0 / max(height, width)
        return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))

    def resize(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Resizes RGB pixels, shape (H, W, 3) uint8, to `input_size`.

        Raises:
            InvalidInputError: The array is no RGB image.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise InvalidInputError(
                f"an image must be uint8 of shape (H, W, 3), not {image.dtype} of {image.shape}"
            )
        height, width = self.input_size((image.shape[0], image.shape[1]))
        # torchvision's resize of a PIL image is this very call
        resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
        return np.array(resized, dtype=np.uint8)

    def to_input(
        self, xy: npt.NDArray[np.floating], image_size: tuple[int, int]
    ) -> npt.NDArray[np.float64]:
        """Moves points, shape (..., 2), x before y, from image pixels to input pixels."""
        height, width = image_size
        input_height, input_width = self.input_size(image_size)
        scale = np.array([input_width / width, input_height / height])
        moved: npt.NDArray[np.float64] = xy.astype(np.float64) * scale
        return moved


@dataclass(frozen=True, slots=True, eq=False)
class PreparedImage:
    """An image as the encoder takes it: of bounded size, however large the original is.

    Attributes:
        pixels: RGB resized to `LongestSide.input_size`, shape (h, w, 3) uint8.
        image_size: (height, width) of the original image in pixels.
    """

    pixels: npt.NDArray[np.uint8]
    image_size: tuple[int, int]

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of `pixels`."""
        return self.pixels.shape[0], self.pixels.shape[1]
