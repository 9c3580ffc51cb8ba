"""Regions: Label Studio's result items, whose coordinates are percent of the image."""

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.config.tags import ControlTag, NamedLabel
from sam_backend.masks.whole_numbers import whole_number
from sam_backend.settings import MAX_MEGAPIXELS

Region = dict[str, Any]
"""One result item, as JSON."""

_MAX_SIDE_PX = 1 << 16

FURTHEST_PERCENT = 1e4
"""Regions may reach over the image's edge, but not so far that arithmetic suffers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a mask is answered as.

    Attributes:
        control: The tag that shows the mask.
        label: Its label; None: the region carries none.
        score: The model's confidence; it is cut to 0 to 1.
        meta: More to keep with the region; Label Studio saves it with the annotation.
    """

    control: ControlTag
    label: NamedLabel | None = None
    score: float | None = None
    meta: Mapping[str, object] | None = None


def make_regions(
    value: Mapping[str, object], answer: Answer, size: tuple[int, int]
) -> list[Region]:
    """One new region of an answer: one result item, or two where a `<Labels>` names a bare tag.

    Args:
        value: The region's shape, without its label.
        answer: Tag, label and score.
        size: (height, width) of the image in pixels.
    """
    common: Region = {
        # 7 random bytes: as many as in the editor's own ids of 10 characters.
        "id": secrets.token_urlsafe(7),
        "to_name": answer.control.to_name,
        "original_width": size[1],
        "original_height": size[0],
        "image_rotation": 0,
        # The editor changes it to "prediction-changed" when an annotator edits the region.
        "origin": "prediction",
    }
    if answer.score is not None:
        common["score"] = min(max(float(answer.score), 0.0), 1.0)
    if answer.meta:
        common["meta"] = dict(answer.meta)
    control, label = answer.control, answer.label
    named = {} if label is None else {_label_key(control, label): list(label.labels)}
    shape = {**common, "from_name": control.name, "type": control.result_type}
    if label is None or label.labels_tag is None:
        return [{**shape, "value": {**value, **named}}]
    name = {**common, "from_name": label.labels_tag, "type": "labels"}
    return [{**shape, "value": dict(value)}, {**name, "value": {**value, **named}}]


def _label_key(control: ControlTag, label: NamedLabel) -> str:
    return control.result_type if label.labels_tag is None else "labels"


def image_size(region: Mapping[str, Any]) -> tuple[int, int]:
    """(height, width) in pixels of the image that the region was drawn on.

    Raises:
        InvalidInputError: The region does not say, or its numbers cannot be those of an image that
            we would open: a region of such a size is never decoded.
    """
    told = region.get("original_height"), region.get("original_width")
    height, width = map(whole_number, told)
    if (
        height is None
        or width is None
        or not 0 < height <= _MAX_SIDE_PX
        or not 0 < width <= _MAX_SIDE_PX
    ):
        raise InvalidInputError(
            f"a region's image cannot have {told[1]!r:.40} x {told[0]!r:.40} pixels"
        )
    if height * width > MAX_MEGAPIXELS * 1_000_000:
        raise InvalidInputError(
            f"an image of {width}x{height} pixels is too large: {MAX_MEGAPIXELS} megapixels at most"
        )
    return height, width


def to_percent(xy: npt.NDArray[np.floating], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Pixels, shape (N, 2), x before y, to percent of an image of size (height, width)."""
    return np.asarray(xy, np.float64) * 100.0 / _width_height(size)


def to_pixels(xy: npt.NDArray[np.floating], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Percent of an image of size (height, width), shape (N, 2), x before y, to pixels."""
    return np.asarray(xy, np.float64) * _width_height(size) / 100.0


def _width_height(size: tuple[int, int]) -> npt.NDArray[np.float64]:
    return np.array([size[1], size[0]], np.float64)


def numbers(value: Mapping[str, Any], *names: str) -> list[float]:
    """Numbers of a region's value: percent, or degrees.

    Raises:
        InvalidInputError: One is missing, no number or far too large.
    """
    found = []
    for name in names:
        number = value.get(name)
        if (
            not isinstance(number, int | float)
            or isinstance(number, bool)
            or not abs(number) <= FURTHEST_PERCENT  # catches NaN too
        ):
            raise InvalidInputError(f"the region's {name} must be a number, not {number!r:.40}")
        found.append(float(number))
    return found


def rotation(value: Mapping[str, Any]) -> float:
    """A shape's turn in radians, clockwise; none where the region says none, or null.

    Raises:
        InvalidInputError: It is no number, or far too large.
    """
    [degrees] = [0.0] if value.get("rotation") is None else numbers(value, "rotation")
    return math.radians(degrees)
