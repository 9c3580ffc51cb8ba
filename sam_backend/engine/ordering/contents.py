"""Labels and sizes of what people have drawn."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio import controls
from sam_backend.labelstudio.drawn_masks import labels_of, objects_by_id, shape_of
from sam_backend.store.annotation_contents import AnnotationContents, Contents
from sam_backend.store.objects import Objects

SMALL, MEDIUM, LARGE = "small", "medium", "large"
SIZES = {SMALL: 32**2, MEDIUM: 96**2, LARGE: float("inf")}
"""Areas in pixels under which an object is of a size (cocodataset.org, "Detection evaluation")."""

_AT_ONCE = 200


def contents_of(state: Mapping[str, Any]) -> Contents:
    """What is on an annotation as it is stored; objects without a shape or a label do not count."""
    result = state.get("result")
    items = [item for item in result if isinstance(item, dict)] if isinstance(result, list) else []
    labels, sizes, unread = Counter[str](), Counter[str](), list[str]()
    for region_id, some in objects_by_id(items).items():
        shape = shape_of(some)
        if shape is None:
            continue
        labels.update(labels_of(some))
        try:
            area = int(controls.decode(shape).sum())
        except InvalidInputError as error:
            unread.append(f"region {region_id}: {error}")
            continue
        sizes[size_of(area)] += 1
    return Contents(dict(labels), dict(sizes), tuple(unread))


def size_of(area_px: float) -> str:
    """The name of a size."""
    return next(name for name, below in SIZES.items() if area_px < below)


def contents_by_digest(
    known: AnnotationContents, objects: Objects, digests: Collection[str]
) -> dict[str, Contents]:
    """Contents of annotations by the digests of their states; what is new is read and kept."""
    found = known.get(digests)
    missing = sorted(set(digests) - found.keys())
    for start in range(0, len(missing), _AT_ONCE):
        some = missing[start : start + _AT_ONCE]
        new = {digest: contents_of(objects.value(digest)) for digest in some}
        known.put(new)
        found |= new
    return found
