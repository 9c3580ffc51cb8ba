"""COCO's segmentations against pycocotools."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from sam_backend.datasets.segmentations import rle_of_segmentation
from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import decode, encode
from tests.datasets.making import SIZE, box, runs

HEIGHT, WIDTH = SIZE
corners = st.tuples(st.floats(-WIDTH, 2 * WIDTH), st.floats(-HEIGHT, 2 * HEIGHT))
polygons = st.lists(corners, min_size=3, max_size=8).map(
    lambda points: [number for point in points for number in point]
)


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@given(st.lists(polygons, min_size=1, max_size=3))
def test_polygons_are_filled_as_pycocotools_does(segmentation: list[list[float]]) -> None:
    theirs = coco.decode(coco.merge(coco.frPyObjects(segmentation, *SIZE)))
    assert np.array_equal(decode(rle_of_segmentation(segmentation, SIZE)), theirs.astype(bool))


def test_a_polygon_of_two_corners_is_no_box_and_does_not_harm_the_others() -> None:
    square = [2, 3, 8, 3, 8, 8, 2, 8]
    alone = rle_of_segmentation([square], SIZE)
    assert np.array_equal(decode(alone), box())
    with_line = rle_of_segmentation([[0, 0, 20, 15], square, []], SIZE)
    assert np.array_equal(with_line.counts, alone.counts)


@pytest.mark.parametrize("counts", ["compressed", "plain"])
def test_run_lengths_keep_their_own_size(counts: str) -> None:
    segmentation = runs(box())
    if counts == "plain":
        segmentation["counts"] = encode(box()).counts.tolist()
    assert np.array_equal(decode(rle_of_segmentation(segmentation, (7, 7))), box())


SQUARE = [2, 3, 8, 3, 8, 8, 2, 8]


@pytest.mark.parametrize(
    "segmentation",
    [
        SQUARE,  # without a list around it
        [float(number) for number in SQUARE],
        [[2, 3.0, 8, 3, 8.0, 8, 2, 8]],
        [runs(box())],  # with one
        [{"size": [20.0, 30.0], "counts": [float(n) for n in encode(box()).counts]}],
    ],
)
def test_what_other_tools_write(segmentation: Any) -> None:
    assert np.array_equal(decode(rle_of_segmentation(segmentation, SIZE)), box())


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        (None, "not NoneType"),
        ("abc", "not str"),
        ([], "only a box"),
        ({}, "size must be"),
        ([[]], "no polygon has three corners"),
        ([[1, 2, 3, 4]], "no polygon has three corners"),
        ([1, 2, 3, 4, 5, True], "a list of numbers"),
        ([{"size": [20, 30], "counts": [600]}, [1, 2, 3, 4, 5, 6]], "a list of numbers"),
        ([[1, 2, 3, 4, 5, "6"]], "a list of numbers"),
        ([[1, 2, 3, 4, 5, None]], "a list of numbers"),
        ([[1, 2, 3, 4, 5, 6, 7]], "7 numbers"),
        ([[1, 2, 3, 4, 5, float("nan")]], "far outside of 30x20"),
        ([[1, 2, 3, 4, 5, float("inf")]], "far outside"),
        ([[1, 2, 3, 4, 5, 41]], "far outside"),
        ([[1, 2, 3, 4, 61, 5]], "far outside"),
        ([[1, 2, -31, 4, 5, 5]], "far outside"),
        ([[1, 2, 3, 4, 5, 1e300]], "far outside"),
        ([[1, 2, 3, 4, 5, 10**400]], "beyond all numbers"),
    ],
)
def test_damaged_segmentations_are_refused(segmentation: Any, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        rle_of_segmentation(segmentation, SIZE)
