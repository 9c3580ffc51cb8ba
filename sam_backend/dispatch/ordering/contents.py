"""Labels and sizes of what people have drawn."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sam_backend.datasets import reasons
from sam_backend.labelstudio.regions.drawn_masks import (
    Unusable,
    labels_of,
    objects_by_id,
    read_mask,
    shape_of,
)
from sam_backend.store.annotation_contents import AnnotationContents, Contents, ImageSizes
from sam_backend.store.objects import Objects

SMALL, MEDIUM, LARGE = "small", "medium", "large"
SIZES = {SMALL: 32**2, MEDIUM: 96**2, LARGE: float("inf")}
"""Areas in pixels under which an object is of a size (cocodataset.org, "Detection evaluation")."""

_AT_ONCE = 200


def contents_of(state: Mapping[str, Any], images: ImageSizes) -> Contents:
    """What is on an annotation as it is stored; objects without a shape or a label do not count.

    An object that was drawn on an image of another size, or on one of unknown size, is not decoded:
    whoever sends an annotation may claim any size. It counts by its label, and is named.

    Args:
        state: The annotation.
        images: Sizes of its task's images.
    """
    result = state.get("result")
    items = [item for item in result if isinstance(item, dict)] if isinstance(result, list) else []
    labels, sizes, unread = Counter[str](), Counter[str](), list[tuple[str, str]]()
    lies_on: dict[str, tuple[int, int] | None] = {}
    for region_id, some in objects_by_id(items).items():
        shape = shape_of(some)
        if shape is None:
            continue
        labels.update(labels_of(some))
        image, name = str(shape.get("to_name")), f"region {region_id}"
        lies_on[image] = images.get(image)
        mask = read_mask(shape, images.get)
        if mask is None:
            unread.append((reasons.NO_IMAGE_OF_MASK, f"{name}: the size of {image!r} is unknown"))
        elif isinstance(mask, Unusable):
            unread.append((mask.reason, f"{name}: {mask.told}"))
        else:
            sizes[size_of(int(mask.sum()))] += 1
    return Contents(dict(labels), dict(sizes), tuple(unread), lies_on)


def size_of(area_px: float) -> str:
    """The name of a size."""
    return next(name for name, below in SIZES.items() if area_px < below)


def read_contents(
    known: AnnotationContents, objects: Objects, states: Sequence[tuple[str, ImageSizes]]
) -> list[Contents]:
    """Contents of annotations, in their order; what is new is read and kept.

    Args:
        known: What was read before.
        objects: Holds the states.
        states: Digest of each annotation's state, and the sizes of its task's images.
    """
    before = known.get({digest for digest, _ in states})
    found = [
        one if (one := before.get(digest)) is not None and one.fits(images) else None
        for digest, images in states
    ]
    missing = [place for place, one in enumerate(found) if one is None]
    for start in range(0, len(missing), _AT_ONCE):
        new: dict[str, Contents] = {}
        for place in missing[start : start + _AT_ONCE]:
            digest, images = states[place]
            found[place] = new[digest] = contents_of(objects.value(digest), images)
        known.put(new)
    return [one for one in found if one is not None]
