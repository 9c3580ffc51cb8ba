"""The masks that a person drew: result items of an annotation, as run lengths, object by object."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sam_backend.datasets import reasons
from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.types import LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.config.elements import REGION_KINDS
from sam_backend.labelstudio.config.tags import MASK_KINDS
from sam_backend.labelstudio.prompts.task_regions import region_kind, region_labels
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.region import Region, image_size
from sam_backend.masks import rle
from sam_backend.masks.types import Mask
from sam_backend.masks.whole_numbers import whole_number

SizeOf = Callable[[str], tuple[int, int] | None]
"""(height, width) in pixels of the image of a tag, by the tag's name; None: it is not known."""

MULTI_IMAGE = "mask of a multi-image task"
OPEN_POLYGON = "polygon is not closed"


@dataclass(frozen=True, slots=True, eq=False)
class DrawnMask:
    """One object as drawn.

    Attributes:
        image_name: The image tag it lies on (`to_name`).
        mask: At the size of the image it was drawn on.
        score: How sure a model was; None for a person's.
    """

    image_name: str
    mask: LabelledMask
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a region gives no mask.

    Attributes:
        reason: One of `datasets.reasons`.
        told: What is particular to the region.
    """

    reason: str
    told: str


def count_objects(result: Sequence[Region]) -> int:
    """How many objects `drawn_masks` would look at, without decoding any."""
    return sum(shape_of(items) is not None for items in objects_by_id(result).values())


def drawn_masks(
    result: Sequence[Region],
    annotator: str | None,
    left_out: LeftOut,
    where: str,
    size_of: SizeOf,
) -> list[DrawnMask]:
    """The masks of one annotation, in the order they were drawn.

    Items with one id are one object: a `<Labels>` names a `<Brush>`, and accepting with "keep label
    selected" leaves a key point that repeats the brush's pixels. A polygon is one mask, also where
    a model's answer came as several. Coordinates are those of the upright picture, also where the
    annotator had turned it: `image_rotation` only says how the page showed it (Label Studio
    1.23.2, seen for brush, polygon, ellipse, rectangle and key point).

    Args:
        result: The annotation's result items.
        annotator: Who drew them.
        left_out: Gets everything on an image that gives no mask, and why.
        where: Names the annotation there, such as "task 14, annotation 3".
        size_of: The true size of an image, as our own code has read it; asked only for images with
            something to decode. What claims another size is left out before anything of that size
            is made; where it returns None, the object is passed over.
    """
    drawn = []
    for region_id, items in objects_by_id(result).items():
        name = f"{where}, region {region_id}"
        shape = shape_of(items)
        if shape is None:
            # Choices, texts and relations are on no image, and are nobody's loss.
            kinds = [kind for kind in map(region_kind, items) if kind in REGION_KINDS]
            for kind in kinds[:1]:
                left_out.add(f"{kind} is no mask", name)
            continue
        reason = _refusal(shape)
        if reason is not None:
            left_out.add(reason, name)
            continue
        mask = read_mask(shape, size_of)
        if mask is None:
            continue
        if isinstance(mask, Unusable):
            left_out.add(mask.reason, f"{name}: {mask.told}")
            continue
        if not mask.any():
            left_out.add(reasons.EMPTY_MASK, name)
            continue
        score = shape.get("score")
        labels = labels_of(items)
        drawn.append(
            DrawnMask(
                str(shape.get("to_name")),
                LabelledMask(
                    rle.encode(mask),
                    labels[0] if labels else None,
                    annotator,
                    more_labels=labels[1:],
                ),
                float(score) if isinstance(score, int | float) else None,
            )
        )
    return drawn


def read_mask(shape: Region, size_of: SizeOf) -> Mask | Unusable | None:
    """The pixels of a region, shape (H, W); None where the size of its image is not known.

    Whoever sends an annotation may claim any size of its image: what claims another one than the
    true one is not decoded, and nothing of the claimed size is made.

    Args:
        shape: The item that has the pixels (`shape_of`).
        size_of: True sizes of images.
    """
    try:
        claimed = image_size(shape)
        size = size_of(str(shape.get("to_name")))
        if size is None:
            return None
        if claimed != size:
            told = f"{claimed[1]} x {claimed[0]} on {size[1]} x {size[0]} pixels"
            return Unusable(reasons.OTHER_SIZE, told)
        return codec.decode(shape)
    except InvalidInputError as error:
        return Unusable(reasons.MALFORMED_MASK, str(error))


def objects_by_id(result: Iterable[Region]) -> dict[str | int, list[Region]]:
    """Items by their id, in the order they were drawn.

    One without an id is an object of its own, under its place among the items.
    """
    found: dict[str | int, list[Region]] = {}
    for number, item in enumerate(result):
        region_id = item.get("id")
        if isinstance(region_id, float):
            region_id = whole_number(region_id)  # as other tools write it
        known = isinstance(region_id, str | int) and region_id != ""
        found.setdefault(str(region_id) if known else number, []).append(item)
    return found


def shape_of(items: Iterable[Region]) -> Region | None:
    """The item of an object that has its pixels; None without one."""
    return next((item for item in items if region_kind(item) in MASK_KINDS), None)


def labels_of(items: Sequence[Region]) -> tuple[str, ...]:
    """All labels of an object: those of its pixels, else of any of its items."""
    shape = shape_of(items)
    labels = map(region_labels, (*(() if shape is None else (shape,)), *items))
    return next(filter(None, labels), ())


def _refusal(shape: Region) -> str | None:
    value: Mapping[str, Any] = shape["value"] if isinstance(shape.get("value"), Mapping) else {}
    if shape.get("item_index") not in (None, 0):
        return MULTI_IMAGE
    if region_kind(shape) == "polygon" and value.get("closed") is False:
        return OPEN_POLYGON
    return None
