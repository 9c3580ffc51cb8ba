"""From an image to the model's square input, and from pixels of one to pixels of the other."""

from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

from sam_backend.errors import InvalidInputError
from sam_backend.sam.postprocess import Frame


class Resize(Protocol):
    """How an image comes into a network's square input."""

    @property
    def side(self) -> int:
        """Side of the square input in pixels."""
        ...

    @property
    def key(self) -> str:
        """Names this preprocessing in cache keys; changes whenever its pixels would."""
        ...

    def of_side(self, side: int) -> Self:
        """The same for a square of another side."""
        ...

    def input_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) after resizing an image of (height, width)."""
        ...

    def resize(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Resizes RGB pixels, shape (H, W, 3) uint8, to `input_size`.

        Raises:
            InvalidInputError: The array is no RGB image.
        """
        ...

    def to_input(
        self, xy: npt.NDArray[np.floating], image_size: tuple[int, int]
    ) -> npt.NDArray[np.float64]:
        """Moves points, shape (..., 2), x before y, from image pixels to input pixels."""
        ...

    def frame(self, mask_side: int, image_size: tuple[int, int]) -> Frame:
        """Where low-resolution logits, `mask_side` pixels a side, lie in an image."""
        ...


@dataclass(frozen=True, slots=True)
class LongestSide:
    """Resizes so that the longest side has `side` pixels; the rest of the square is padding.

    Equal to `segment_anything.utils.transforms.ResizeLongestSide`, which SAM 1's checkpoints were
    trained with, except that a very narrow image keeps at least one pixel.

    Attributes:
        side: Side of the model's square input in pixels.
    """

    side: int

    @property
    def key(self) -> str:
        """Names this preprocessing in cache keys; changes whenever its pixels would."""
        return f"longest{self.side}-pil-bilinear"

    def of_side(self, side: int) -> Self:
        """The same for a square of another side."""
        return replace(self, side=side)

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
        _check_rgb(image)
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

    def frame(self, mask_side: int, image_size: tuple[int, int]) -> Frame:
        """Where low-resolution logits, `mask_side` pixels a side, lie in an image."""
        return Frame(mask_side, self.side, self.input_size(image_size), image_size)


@dataclass(frozen=True, slots=True)
class Stretched:
    """Resizes to the whole square, whatever the image's proportions: SAM 2 and SAM 3.

    Equal to the image processors of the transformers library, which resize bytes with antialiasing.

    Attributes:
        side: Side of the model's square input in pixels.
    """

    side: int

    @property
    def key(self) -> str:
        """Names this preprocessing in cache keys; changes whenever its pixels would."""
        return f"stretched{self.side}-torch-bilinear"

    def of_side(self, side: int) -> Self:
        """The same for a square of another side."""
        return replace(self, side=side)

    def input_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(`side`, `side`), whatever the image."""
        return self.side, self.side

    def resize(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Resizes RGB pixels, shape (H, W, 3) uint8, to the square.

        Raises:
            InvalidInputError: The array is no RGB image.
        """
        _check_rgb(image)
        pixels = torch.tensor(image).permute(2, 0, 1)[None]
        square = F.interpolate(pixels, (self.side, self.side), mode="bilinear", antialias=True)
        resized: npt.NDArray[np.uint8] = square[0].permute(1, 2, 0).contiguous().numpy()
        return resized

    def to_input(
        self, xy: npt.NDArray[np.floating], image_size: tuple[int, int]
    ) -> npt.NDArray[np.float64]:
        """Moves points, shape (..., 2), x before y, from image pixels to input pixels."""
        height, width = image_size
        moved: npt.NDArray[np.float64] = xy.astype(np.float64) * (
            self.side / np.array([width, height])
        )
        return moved

    def frame(self, mask_side: int, image_size: tuple[int, int]) -> Frame:
        """Where low-resolution logits lie in an image: they are resized to it in one step."""
        return Frame(mask_side, mask_side, (mask_side, mask_side), image_size)


def _check_rgb(image: npt.NDArray[np.uint8]) -> None:
    """Refuses what is no RGB image.

    Raises:
        InvalidInputError: The array has another shape or dtype, or no pixels.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise InvalidInputError(
            f"an image must be uint8 of shape (H, W, 3), not {image.dtype} of {image.shape}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class PreparedImage:
    """An image as the encoder takes it: of bounded size, however large the original is.

    Attributes:
        pixels: RGB resized to `Resize.input_size`, shape (h, w, 3) uint8.
        image_size: (height, width) of the original image in pixels.
    """

    pixels: npt.NDArray[np.uint8]
    image_size: tuple[int, int]

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of `pixels`."""
        return self.pixels.shape[0], self.pixels.shape[1]
