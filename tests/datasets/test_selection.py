"""Parts of a data set by what its masks are."""

from typing import Any

import pytest

from sam_backend.datasets.selection import select
from sam_backend.datasets.types import LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import encode
from tests.datasets.making import box, dataset_of, image_of


def mask(area_px: int, label: str | None, annotator: str | None) -> LabelledMask:
    return LabelledMask(encode(box(0, 0, area_px, 1)), label, annotator)


DATASET = dataset_of(
    image_of(1, mask(6, "cat", "b"), mask(30, None, "b"), mask(20, "cat", "a")),
    image_of(2, mask(12, "dog", "a")),
    image_of(3, mask(5, "cat", None), mask(7, "cat", "b")),
)


@pytest.mark.parametrize(
    ("conditions", "areas"),
    [
        ({}, [[6, 30, 20], [12], [5, 7]]),
        ({"min_area_share": 0.01}, [[6, 30, 20], [12], [7]]),
        ({"min_area_share": 0.02}, [[30, 20], [12]]),
        ({"annotator": "first"}, [[6, 30], [12], [5]]),
        ({"annotator": "a"}, [[20], [12]]),
        ({"annotator": "nobody"}, []),
        ({"labels": ["cat"]}, [[6, 20], [5, 7]]),
        ({"labels": {"cat", "dog"}, "annotator": "first"}, [[6], [12], [5]]),
        ({"labels": []}, []),
        ({"limit": 2}, [[6, 30, 20], [12]]),
        ({"limit": 1, "labels": ["dog"]}, [[12]]),
        ({"limit": 9}, [[6, 30, 20], [12], [5, 7]]),
        # Who drew the first mask counts, even if no mask of theirs is large enough.
        ({"annotator": "first", "min_area_share": 0.05}, [[30]]),
    ],
)
def test_selection(conditions: dict[str, Any], areas: list[list[int]]) -> None:
    selected = select(DATASET, **conditions)
    assert [[mask.rle.area_px for mask in image.masks] for image in selected] == areas
    assert (selected.name, selected.licence, selected.skipped) == (
        DATASET.name,
        DATASET.licence,
        DATASET.skipped,
    )


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ({"min_area_share": 1.5}, r"between 0 and 1, not 1\.5"),
        ({"min_area_share": -1}, "between 0 and 1, not -1"),
        ({"limit": 0}, "at least 1, not 0"),
    ],
)
def test_conditions_out_of_range_are_refused(conditions: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        select(DATASET, **conditions)
