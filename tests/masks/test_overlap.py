"""Intersection over union."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sam_backend.errors import InvalidInputError
from sam_backend.masks.overlap import iou_matrix, mask_iou
from sam_backend.masks.rle import encode

small = hnp.arrays(bool, (4, 5))
A = np.array([[True, True, False, False]])


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ([True, True, False, False], 1.0),
        ([False, True, True, False], 1 / 3),
        ([False, False, True, True], 0.0),
        ([False, False, False, False], 0.0),
    ],
)
def test_mask_iou(other: list[bool], expected: float) -> None:
    assert mask_iou(A, np.array([other])) == expected
    assert mask_iou(np.array([other]), A) == expected


def test_empty_masks_agree() -> None:
    assert mask_iou(~A & A, ~A & A) == 1


def test_shapes_must_be_one() -> None:
    with pytest.raises(InvalidInputError, match=r"\(1, 4\) and \(4, 1\)"):
        mask_iou(A, A.T)


@given(st.lists(small, max_size=3), st.lists(small, max_size=3))
def test_a_matrix_holds_the_iou_of_every_pair(
    some: list[np.ndarray], others: list[np.ndarray]
) -> None:
    some = [mask for mask in some if mask.any()]  # the matrix has 0 for two empty masks
    ious = iou_matrix([encode(mask) for mask in some], [encode(mask) for mask in others])
    assert ious.shape == (len(some), len(others))
    for row, a in zip(ious, some, strict=True):
        assert row.tolist() == pytest.approx([mask_iou(a, b) for b in others])


def test_a_matrix_needs_one_size() -> None:
    with pytest.raises(InvalidInputError, match=r"\(1, 4\), \(4, 1\)"):
        iou_matrix([encode(A)], [encode(A.T)])
