"""Where the simulated annotator clicks."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import distance_transform_edt

from sam_backend.masks.clicks import (
    correction_click,
    deepest_point,
    depth,
    noisy_box,
    random_point,
    tight_box,
)

some_mask = hnp.arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24))).filter(
    lambda mask: bool(mask.any())
)


def disc(size: int, x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def test_a_disc_is_clicked_in_its_centre() -> None:
    x, y = deepest_point(disc(64, 40, 20, 12))
    assert abs(x - 40) <= 1
    assert abs(y - 20) <= 1


def test_depths_are_exact_wherever_the_mask_lies_in_memory() -> None:
    """Else which of several deepest pixels is clicked differs from run to run."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        mask = np.zeros((97, 83), np.bool_)
        for x, y, radius in zip(*rng.integers((0, 0, 3), (83, 97, 30), (4, 3)).T, strict=True):
            cv2.circle(mask.view(np.uint8), (int(x), int(y)), int(radius), 1, -1)
        wanted = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1].astype(np.float32)
        for start in range(0, 64, 8):
            placed = np.zeros(mask.size + 64, np.uint8)[start : start + mask.size]
            placed = placed.reshape(mask.shape).view(np.bool_)
            placed[...] = mask
            assert np.array_equal(depth(placed), wanted)


def test_the_image_edge_counts_as_boundary() -> None:
    assert deepest_point(np.ones((9, 21), np.bool_))[1] == 4


def test_depth_of_a_row_counts_pixels_to_the_outside() -> None:
    mask = np.zeros((5, 9), np.bool_)
    mask[2, 1:8] = True
    assert depth(mask)[2].tolist() == pytest.approx([0, 1, 1, 1, 1, 1, 1, 1, 0], abs=0.1)


@given(some_mask, st.integers(0, 2**32))
def test_points_and_boxes_belong_to_the_mask(mask: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for x, y in (deepest_point(mask), random_point(mask, rng)):
        assert mask[y, x]
    x0, y0, x1, y1 = tight_box(mask).astype(int)
    assert mask[y0:y1, x0:x1].sum() == mask.sum()
    assert mask[y0, x0:x1].any()
    assert mask[y1 - 1, x0:x1].any()
    assert mask[y0:y1, x0].any()
    assert mask[y0:y1, x1 - 1].any()


@given(some_mask, st.integers(0, 2**32))
def test_a_noisy_box_has_an_area_inside_the_image(mask: np.ndarray, seed: int) -> None:
    x0, y0, x1, y1 = noisy_box(mask, np.random.default_rng(seed))
    assert 0 <= x0 < x1 <= mask.shape[1]
    assert 0 <= y0 < y1 <= mask.shape[0]


def test_a_noisy_box_shifts_no_farther_than_allowed() -> None:
    mask = disc(400, 200, 200, 190)
    boxes = np.stack([noisy_box(mask, np.random.default_rng(s), 5.0) for s in range(40)])
    shift = np.abs(boxes - tight_box(mask))
    assert shift.max() == pytest.approx(5.0)


def test_deep_pixels_are_drawn_more_often() -> None:
    mask = disc(64, 32, 32, 25)
    rng = np.random.default_rng(1)
    drawn = [random_point(mask, rng) for _ in range(400)]
    inner = disc(64, 32, 32, 12.5)
    share = np.mean([inner[y, x] for x, y in drawn])
    assert share > 0.4  # a quarter of the area, half of the weight


def test_a_missed_region_gets_a_positive_click_in_its_middle() -> None:
    truth = disc(64, 20, 32, 10) | disc(64, 50, 32, 6)
    click = correction_click(truth, disc(64, 50, 32, 6))
    assert click is not None
    (x, y), positive = click
    assert positive
    assert abs(x - 20) + abs(y - 32) <= 2


def test_a_wrong_region_gets_a_negative_click() -> None:
    truth = disc(64, 20, 32, 10)
    click = correction_click(truth, truth | disc(64, 50, 32, 6))
    assert click is not None
    (x, y), positive = click
    assert not positive
    assert abs(x - 50) + abs(y - 32) <= 2


@given(
    st.tuples(st.integers(1, 16), st.integers(1, 16)).flatmap(
        lambda size: st.lists(hnp.arrays(np.bool_, size), min_size=3, max_size=3)
    )
)
def test_clicks_are_those_of_the_published_protocol(masks: list[np.ndarray]) -> None:
    """As written in RITM's paper: full-size exact distances, a frame of zeros, no pixel twice."""
    truth, predicted, is_clicked = masks
    clicked = [(int(x), int(y)) for y, x in zip(*np.nonzero(is_clicked), strict=True)]
    deepest = []
    for error in (truth & ~predicted, predicted & ~truth):
        distances = distance_transform_edt(np.pad(error, 1))[1:-1, 1:-1] * ~is_clicked
        y, x = np.unravel_index(distances.argmax(), distances.shape)
        deepest.append((distances[y, x], (x, y)))
    (missed, at_missed), (claimed, at_claimed) = deepest
    expected = (at_missed, True) if missed > claimed else (at_claimed, False)
    any_left = missed or claimed
    assert correction_click(truth, predicted, clicked) == (expected if any_left else None)


def test_the_wider_of_two_errors_is_clicked_not_the_larger() -> None:
    truth = np.zeros((64, 64), np.bool_)
    truth[2:5] = True
    predicted = disc(64, 40, 40, 6)
    assert truth.sum() > predicted.sum()
    assert correction_click(truth, predicted) == ((40, 40), False)


def test_a_right_mask_gets_no_click() -> None:
    truth = disc(32, 10, 10, 5)
    assert correction_click(truth, truth.copy()) is None


@pytest.mark.parametrize("ask", [deepest_point, tight_box])
def test_an_empty_mask_is_refused(ask) -> None:
    with pytest.raises(ValueError, match="empty mask"):
        ask(np.zeros((4, 4), np.bool_))


def test_an_empty_mask_has_no_random_point() -> None:
    with pytest.raises(ValueError, match="empty mask"):
        random_point(np.zeros((4, 4), np.bool_), np.random.default_rng(0))
