"""The tags that masks are answered with and read from: one file each, one line here."""

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.regions.base import Control, Shape
from sam_backend.labelstudio.regions.bitmask import Bitmask
from sam_backend.labelstudio.regions.brush import Brush
from sam_backend.labelstudio.regions.ellipse import Ellipse
from sam_backend.labelstudio.regions.polygon import Polygon
from sam_backend.labelstudio.regions.rectangle import Rectangle
from sam_backend.labelstudio.regions.region import Answer, Region, image_size
from sam_backend.masks.types import Mask

CONTROLS: dict[str, Control] = {
    control.kind: control
    for control in (
        Bitmask(),
        Brush(),
        Polygon(),
        Rectangle(),
    )
}
"""Tags that masks are answered with, by kind; `tags.OUTPUT_KINDS` names the same."""

SHAPES: dict[str, Shape] = {**CONTROLS, Ellipse.kind: Ellipse()}
"""Tags whose regions have pixels, by kind."""


def encode(mask: Mask, answer: Answer) -> list[Region]:
    """Result items that show a mask, shape (H, W) bool; none if it has no pixels."""
    return CONTROLS[answer.control.kind].encode(mask, answer)


def can_decode(region: Region) -> bool:
    """True if the result item carries a shape that we can turn into a mask."""
    return _kind(region) in SHAPES


def decode(region: Region, size: tuple[int, int] | None = None) -> Mask:
    """The pixels of a region, drawn by us or by hand, shape (H, W) bool.

    Args:
        region: Result item.
        size: (height, width) of its image, where that is known: a region that claims another size
            is refused before anything of that size is made.

    Raises:
        InvalidInputError: The region is damaged, of a type without pixels, or of another size.
    """
    kind = _kind(region)
    if kind not in SHAPES:
        raise InvalidInputError(f"a region of type {region.get('type')!r:.40} has no mask")
    if size is not None and image_size(region) != size:
        height, width = image_size(region)
        raise InvalidInputError(
            f"the region was drawn on an image of {width}x{height} pixels, its image has "
            f"{size[1]}x{size[0]}"
        )
    return SHAPES[kind].decode(region)


def _kind(region: Region) -> str:
    # Not by what the value holds: with "keep label selected" Label Studio adds a keypointlabels
    # item that repeats the brush's rle.
    return str(region.get("type", "")).removesuffix("labels")
