"""A mask that the automatic generator kept, with all that tells where it is from."""

from dataclasses import dataclass

from sam_backend.masks.rle import RLE, decode
from sam_backend.masks.types import Mask


@dataclass(frozen=True, slots=True, eq=False)
class MaskRecord:
    """A kept mask.

    Attributes:
        rle: The mask at the original image's size.
        box: First and last column and row of the mask, x0 y0 x1 y1 in pixels of the image, both
            ends in the mask. `segment_anything`'s `bbox` is (x0, y0, x1 - x0, y1 - y0).
        area_px: Pixels of the mask.
        predicted_iou: The model's own estimate; of the mask before specks and holes went.
        stability: IoU of the mask cut a bit lower and a bit higher; also from before.
        point: The click that it answers, x y in pixels of the image.
        mask_index: Which of the decoder's three answers to the click, 0 to 2.
        crop: The part of the image that was embedded, x0 y0 x1 y1 in pixels, ends exclusive.
        model_version: Model version of the segmenter.
        settings: `AutomaticSettings.fingerprint`.
        image_digest: sha256 of the image's bytes; None if nobody told.
    """

    rle: RLE
    box: tuple[int, int, int, int]
    area_px: int
    predicted_iou: float
    stability: float
    point: tuple[float, float]
    mask_index: int
    crop: tuple[int, int, int, int]
    model_version: str
    settings: str
    image_digest: str | None = None

    @property
    def mask(self) -> Mask:
        """The mask's pixels, shape (H, W) bool; decoded anew at each call."""
        return decode(self.rle)

    @property
    def bbox_xywh(self) -> tuple[int, int, int, int]:
        """Left column, top row, width and height in pixels, as pycocotools' `toBbox`.

        `segment_anything`'s `bbox` is a pixel narrower and lower, for it leaves the last ones out.
        """
        x0, y0, x1, y1 = self.box
        return x0, y0, x1 - x0 + 1, y1 - y0 + 1
