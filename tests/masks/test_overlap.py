"""Intersection over union."""

import numpy as np
import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.masks.overlap import mask_iou

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
