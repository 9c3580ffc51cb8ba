"""Boundary IoU against the published code, step by step."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_backend.errors import InvalidInputError
from sam_backend.masks.boundary import boundary, boundary_iou, boundary_iou_of, boundary_width
from sam_backend.masks.overlap import mask_iou
from sam_backend.masks.rle import encode
from tests.masks.strategies import masks

SQUARE = np.zeros((60, 80), np.bool_)
SQUARE[10:40, 10:50] = True


def published(mask: np.ndarray, width_px: int) -> np.ndarray:
    """`mask_to_boundary` of bowenc0221/boundary-iou-api: erode a framed mask, step by step."""
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=width_px)
    return mask & ~eroded[1:-1, 1:-1].astype(np.bool_)


@given(masks, st.integers(1, 6))
def test_the_band_is_the_published_one(mask: np.ndarray, width_px: int) -> None:
    np.testing.assert_array_equal(boundary(mask, width_px), published(mask, width_px))


@pytest.mark.parametrize(
    ("size", "width_px"), [((60, 80), 2), ((5, 5), 1), ((321, 481), 12), ((3000, 4000), 100)]
)
def test_the_band_is_2_percent_of_the_diagonal_wide(size: tuple[int, int], width_px: int) -> None:
    assert boundary_width(size) == width_px


def test_a_shift_that_iou_forgives_counts() -> None:
    shifted = np.roll(SQUARE, 1, axis=1)
    assert mask_iou(SQUARE, shifted) > 0.95
    assert boundary_iou(SQUARE, shifted) < 0.75
    assert boundary_iou(SQUARE, SQUARE) == 1
    assert boundary_iou(SQUARE, np.zeros_like(SQUARE)) == 0


def test_the_edge_of_the_image_is_an_outline() -> None:
    whole = np.ones((60, 80), np.bool_)
    band = boundary(whole, 2)
    assert band[:2].all()
    assert not band[2:-2, 2:-2].any()


def test_shapes_must_be_one() -> None:
    with pytest.raises(InvalidInputError, match="one shape"):
        boundary_iou(SQUARE, SQUARE.T)


@given(masks)
def test_run_lengths_have_the_boundary_iou_of_their_masks(mask: np.ndarray) -> None:
    other = np.roll(mask, 1, axis=1) & np.roll(mask, 1, axis=0)
    assert boundary_iou_of(encode(mask), encode(other)) == pytest.approx(boundary_iou(mask, other))
    assert boundary_iou_of(encode(mask), encode(mask)) == 1


def test_run_lengths_of_two_sizes_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="must have one size"):
        boundary_iou_of(encode(SQUARE), encode(SQUARE[:, :-1]))
