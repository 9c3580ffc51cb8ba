"""The masks that a person drew: result items of an annotation, as run lengths, object by object."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sam_backend.datasets import reasons
from sam_backend.datasets.types import LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio import controls
from sam_backend.labelstudio.elements import REGION_KINDS
from sam_backend.labelstudio.regions import Region
from sam_backend.labelstudio.task_regions import region_kind, region_label
from sam_backend.masks import rle

_MASK_KINDS = frozenset(controls.SHAPES) - {"rectangle"}

TURNED_IMAGE = "mask on a turned image"
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


def count_objects(result: Sequence[Region]) -> int:
    """How many objects `drawn_masks` would look at, without decoding any."""
    return sum(_shape(items) is not None for items in _objects(result))


def drawn_masks(
    result: Sequence[Region], annotator: str | None, skipped: Counter[str]
) -> list[DrawnMask]:
    """The masks of one annotation, in the order they were drawn.

    Items with one id are one object: a `<Labels>` names a `<Brush>`, and accepting with "keep label
    selected" leaves a key point that repeats the brush's pixels. A polygon is one mask, also where
    a model's answer came as several.

    Args:
        result: The annotation's result items.
        annotator: Who drew them.
        skipped: Gets the reason of everything on an image that gives no mask.
    """
    drawn = []
    for items in _objects(result):
        shape = _shape(items)
        if shape is None:
            # Choices, texts and relations are on no image, and are nobody's loss.
            kinds = [kind for kind in map(region_kind, items) if kind in REGION_KINDS]
            skipped.update(f"{kind} is no mask" for kind in kinds[:1])
            continue
        reason = _refusal(shape)
        if reason is not None:
            skipped[reason] += 1
            continue
        try:
            mask = controls.decode(shape)
        except InvalidInputError:
            skipped[reasons.MALFORMED_MASK] += 1
            continue
        if not mask.any():
            skipped[reasons.EMPTY_MASK] += 1
            continue
        labels = (region_label(item) for item in (shape, *items))
        label = next((label for label in labels if label is not None), None)
        score = shape.get("score")
        drawn.append(
            DrawnMask(
                str(shape.get("to_name")),
                LabelledMask(rle.encode(mask), label, annotator),
                float(score) if isinstance(score, int | float) else None,
            )
        )
    return drawn


def _objects(result: Iterable[Region]) -> Iterator[list[Region]]:
    """Items by their id; one without an id is an object of its own."""
    found: dict[object, list[Region]] = {}
    for number, item in enumerate(result):
        region_id = item.get("id")
        known = isinstance(region_id, str | int) and region_id != ""
        found.setdefault(str(region_id) if known else number, []).append(item)
    yield from found.values()


def _shape(items: Iterable[Region]) -> Region | None:
    return next((item for item in items if region_kind(item) in _MASK_KINDS), None)


def _refusal(shape: Region) -> str | None:
    value: Mapping[str, Any] = shape["value"] if isinstance(shape.get("value"), Mapping) else {}
    # The editor's turn button turns the coordinates too; `rotation` of an ellipse does not.
    if shape.get("image_rotation") not in (None, 0):
        return TURNED_IMAGE
    if shape.get("item_index") not in (None, 0):
        return MULTI_IMAGE
    if region_kind(shape) == "polygon" and value.get("closed") is False:
        return OPEN_POLYGON
    return None
