"""What every output tag does the same way; its own file says how its shape is written and read."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.config.tags import TagParameters
from sam_backend.labelstudio.regions.region import Answer, Region, image_size, make_regions
from sam_backend.masks.small_regions import clean
from sam_backend.masks.types import Mask, check_mask


class Shape(ABC):
    """Reads regions of one kind of tag, drawn by us or by hand."""

    kind: ClassVar[str]
    """The tag in lower case without `labels`."""

    def decode(self, region: Region) -> Mask:
        """The pixels of a region.

        Returns:
            Shape (original_height, original_width) bool.

        Raises:
            InvalidInputError: The region is damaged.
        """
        value = region.get("value")
        if not isinstance(value, Mapping):
            raise InvalidInputError(f"a region's value must be an object, not {value!r:.40}")
        return self.to_mask(value, image_size(region))

    @abstractmethod
    def to_mask(self, value: Mapping[str, Any], size: tuple[int, int]) -> Mask:
        """The pixels of one region's `value` in an image of size (height, width)."""


class Control(Shape):
    """Turns masks into regions of one kind of tag, and back."""

    def encode(self, mask: Mask, answer: Answer) -> list[Region]:
        """Result items that show the mask; none for a mask without pixels.

        Args:
            mask: Shape (H, W) bool, original image size.
            answer: Tag, label and score. Its parameters clean and simplify the mask first.
        """
        parameters = answer.control.parameters
        cleaned = clean(check_mask(mask), parameters.min_area_px)
        if not cleaned.any():
            return []
        height, width = mask.shape
        values = self.to_values(cleaned, parameters)
        return [item for value in values for item in make_regions(value, answer, (height, width))]

    @abstractmethod
    def to_values(self, mask: Mask, parameters: TagParameters) -> list[dict[str, object]]:
        """The `value` of each region that together show a mask with at least one pixel."""
