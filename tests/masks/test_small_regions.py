"""Specks and holes, by size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from segment_anything.utils.amg import remove_small_regions

from sam_backend.masks.small_regions import (
    clean,
    clean_as_published,
    fill_holes,
    remove_specks,
)
from sam_backend.masks.types import Mask
from tests.masks.strategies import mask_of, small_masks

THREE = mask_of("###..#", "###...", "...#..", ".....#", ".....#")


@pytest.mark.parametrize(
    ("min_area_px", "expected"),
    [
        (0, THREE),
        (1, THREE),
        (2, mask_of("###...", "###...", "...#..", ".....#", ".....#")),
        (7, mask_of("###...", "###...", "...#..", "......", "......")),
        (99, mask_of("###...", "###...", "...#..", "......", "......")),  # the largest stays
    ],
)
def test_specks(min_area_px: int, expected: Mask) -> None:
    assert np.array_equal(remove_specks(THREE, min_area_px), expected)


HOLES = mask_of("#######", "#.#..##", "###..#.", "#######")


@pytest.mark.parametrize(
    ("min_area_px", "expected"),
    [
        (1, HOLES),
        (2, mask_of("#######", "###..##", "###..#.", "#######")),
        (5, mask_of("#######", "#######", "######.", "#######")),  # open to the edge: no hole
        (99, mask_of("#######", "#######", "######.", "#######")),
    ],
)
def test_holes(min_area_px: int, expected: Mask) -> None:
    assert np.array_equal(fill_holes(HOLES, min_area_px), expected)


@given(small_masks, st.integers(0, 150))
def test_clean_twice_is_clean_once_and_never_empties(mask: Mask, min_area_px: int) -> None:
    once = clean(mask, min_area_px)
    assert np.array_equal(clean(once, min_area_px), once)
    assert once.any() == mask.any()


@given(small_masks, st.integers(0, 150), st.integers(0, 20))
def test_the_published_rule_is_segment_anything_s(mask: Mask, min_area_px: int, rim: int) -> None:
    wide = np.pad(mask, ((rim, 0), (0, rim)))
    filled, _ = remove_small_regions(wide, min_area_px, "holes")
    # an empty mask is never cleaned: the original fills a tiny image of it
    expected = remove_small_regions(filled, min_area_px, "islands")[0] if mask.any() else wide
    assert np.array_equal(clean_as_published(wide, min_area_px), expected)
