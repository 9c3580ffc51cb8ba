"""Photos that are decoded once and then kept, as long as they are few."""

from collections.abc import Sequence

from sam_backend.datasets.pixels import read_pixels
from sam_backend.datasets.types import LabelledImage
from sam_backend.errors import ImageDecodeError
from sam_backend.training.textures import Photo

MAX_HELD_BYTES = 1 << 30


class HeldPhotos:
    """The pixels of labelled images, in their order.

    Nothing is decoded before it is asked for: a worker process starts with an empty shelf.

    Args:
        images: Of a data set.
        max_bytes: Photos beyond this are decoded again each time.
    """

    def __init__(self, images: Sequence[LabelledImage], max_bytes: int = MAX_HELD_BYTES) -> None:
        self._images = images
        self._held: dict[str, Photo] = {}
        self._left_bytes = max_bytes

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Photo:
        """The photo of that number; the next one that can be read if its file is damaged.

        Raises:
            ImageDecodeError: None can be read.
        """
        for number in range(len(self)):
            try:
                return self.read(self._images[(index + number) % len(self)])
            except ImageDecodeError:
                continue
        raise ImageDecodeError(f"none of {len(self)} photos can be read")

    def read(self, image: LabelledImage) -> Photo:
        """RGB, shape (H, W, 3) uint8; not to be changed.

        Raises:
            ImageDecodeError: The file is gone, damaged or another one by now.
        """
        held = self._held.get(image.digest)
        if held is None:
            held = read_pixels(image)
            held.flags.writeable = False
            if held.nbytes <= self._left_bytes:
                self._left_bytes -= held.nbytes
                self._held[image.digest] = held
        return held
