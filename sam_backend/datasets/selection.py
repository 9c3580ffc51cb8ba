"""A part of a data set by what its masks are."""

from collections.abc import Callable, Collection
from dataclasses import replace
from itertools import islice

from sam_backend.datasets.types import Dataset, LabelledImage, LabelledMask
from sam_backend.errors import InvalidInputError


def select(
    dataset: Dataset,
    min_area_share: float = 0.0,
    annotator: str = "all",
    labels: Collection[str] | None = None,
    limit: int | None = None,
) -> Dataset:
    """The images and masks that match all conditions, in the set's order.

    Args:
        dataset: The whole; what its reader skipped stays told.
        min_area_share: Smallest part of its image that a mask covers, from 0 to 1.
        annotator: "all"; "first": of each image only who drew its first mask, so that objects are
            not there once per annotator; any other: only who has this name.
        labels: Only masks with one of these; None: any, with or without a label.
        limit: At most this many images, the first ones; None: all. Images without a matching mask
            are left out and do not count.

    Raises:
        InvalidInputError: Share or limit is out of range.
    """
    if not 0 <= min_area_share <= 1:
        raise InvalidInputError(f"min_area_share must be between 0 and 1, not {min_area_share}")
    if limit is not None and limit < 1:
        raise InvalidInputError(f"limit must be at least 1, not {limit}")

    def reduced(image: LabelledImage) -> LabelledImage:
        height, width = image.size
        is_wanted = _by_annotator(image, annotator)
        masks = tuple(
            mask
            for mask in image.masks
            if is_wanted(mask)
            and (labels is None or mask.label in labels)
            and mask.rle.area_px >= min_area_share * height * width
        )
        return replace(image, masks=masks)

    matching = (image for image in map(reduced, dataset) if image.masks)
    return replace(dataset, images=tuple(islice(matching, limit)))


def _by_annotator(image: LabelledImage, annotator: str) -> Callable[[LabelledMask], bool]:
    if annotator == "all":
        return lambda mask: True
    wanted = image.masks[0].annotator if annotator == "first" and image.masks else annotator
    return lambda mask: mask.annotator == wanted
