"""Polygons give their mask back."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sam_backend.errors import InvalidInputError
from sam_backend.masks.overlap import mask_iou
from sam_backend.masks.polygons import (
    Polygon,
    fill_ring,
    join_holes,
    mask_to_polygons,
    signed_area,
)
from sam_backend.masks.types import Mask
from tests.labelstudio.forged import traced_peak
from tests.masks.strategies import mask_of, masks

SQUARE = np.array([[1.0, 1], [6, 1], [6, 6], [1, 6]])


def polygons_to_mask(polygons: Sequence[Polygon], size: tuple[int, int]) -> Mask:
    """The pixels of any of the polygons, without their holes, shape (H, W) bool."""
    mask = np.zeros(size, bool)
    for polygon in polygons:
        part = fill_ring(polygon.exterior, size)
        for hole in polygon.holes:
            part &= ~fill_ring(hole, size)
        mask |= part
    return mask


def fill_even_odd(ring: np.ndarray, size: tuple[int, int]) -> Mask:
    """By its definition, pixel by pixel: how many edges lie left of the centre."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    odd = np.zeros(size, bool)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if y0 != y1:
            passes = (np.minimum(y0, y1) <= y) & (y < np.maximum(y0, y1))
            odd ^= passes & (x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x)
    return odd


@given(masks)
@example(np.zeros((1, 1), bool))
@example(np.ones((1, 1), bool))
@example(np.ones((1, 200), bool))
@example(np.eye(50, dtype=bool))
@example(np.indices((9, 9)).sum(0) % 2 == 0)
def test_exact_round_trip(mask: Mask) -> None:
    assert np.array_equal(polygons_to_mask(mask_to_polygons(mask), mask.shape), mask)


@given(masks)
def test_rings_have_only_corners_on_pixel_edges(mask: Mask) -> None:
    for polygon in mask_to_polygons(mask):
        for ring in (polygon.exterior, *polygon.holes):
            steps = np.roll(ring, -1, axis=0) - ring
            assert (ring == np.round(ring)).all()
            assert ((steps == 0).sum(axis=1) == 1).all()
            turns = steps[:, 0] * np.roll(steps[:, 1], -1) - steps[:, 1] * np.roll(steps[:, 0], -1)
            assert (turns != 0).all()


@given(masks)
def test_one_ring_with_cuts_fills_the_same_pixels_by_either_rule(mask: Mask) -> None:
    for polygon in mask_to_polygons(mask):
        part = polygons_to_mask([polygon], mask.shape)
        ring = join_holes(polygon)
        n_corners = len(polygon.exterior) + sum(len(hole) + 2 for hole in polygon.holes)
        assert len(ring) == n_corners
        assert np.array_equal(fill_ring(ring, mask.shape), part)
        assert np.array_equal(fill_even_odd(ring, mask.shape), part)


@given(st.lists(st.tuples(st.floats(-9, 30), st.floats(-9, 30)), min_size=3, max_size=3))
@example([(1.0, 0.0), (1.090760399327042, 1.090760399327042), (11.5, 11.5)])
def test_fill_of_triangles_by_definition(corners: list[tuple[float, float]]) -> None:
    ring = np.array(corners)
    differs = fill_ring(ring, (20, 22)) != fill_even_odd(ring, (20, 22))
    assert not (differs & ~_lies_on_an_edge(ring, (20, 22))).any()


def _lies_on_an_edge(ring: np.ndarray, size: tuple[int, int]) -> Mask:
    """Pixels whose centre is so near an edge's line that rounding decides on which side it is."""
    y, x = np.indices(size) + 0.5
    on_edge = np.zeros(size, np.bool_)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        twice_area = (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
        on_edge |= np.abs(twice_area) <= 1e-9 * (1 + np.hypot(x1 - x0, y1 - y0))
    return on_edge


def test_fill_counts_turns_as_a_canvas_does() -> None:
    star = np.array([[5, 0], [8, 9.5], [0, 3.5], [10, 3.5], [2, 9.5]])
    assert fill_ring(star, (10, 10))[5, 5]
    assert not fill_even_odd(star, (10, 10))[5, 5]


@pytest.mark.parametrize(
    ("mask", "n_holes"),
    [
        (mask_of("....", "...."), []),
        (mask_of("#"), [0]),
        (mask_of("##.", "##.", "..#"), [0]),  # corners touch: one part
        (mask_of("#.#"), [0, 0]),
        (mask_of("###", "#.#", "###"), [1]),
        (mask_of(".#.", "#.#", ".#."), [1]),
        (mask_of("#####", "#...#", "#.#.#", "#...#", "#####"), [0, 1]),  # a part in a hole
        (mask_of("#####", "#.#.#", "#####"), [2]),
        (mask_of("#####", "#.###", "##.##", "#####"), [2]),  # holes touch at a corner: two
    ],
)
def test_parts_and_holes(mask: Mask, n_holes: list[int]) -> None:
    assert sorted(len(polygon.holes) for polygon in mask_to_polygons(mask)) == n_holes


def test_a_pixel_is_its_square() -> None:
    (polygon,) = mask_to_polygons(mask_of("..", ".#"))
    assert {tuple(corner) for corner in polygon.exterior} == {(1, 1), (2, 1), (2, 2), (1, 2)}
    assert abs(signed_area(polygon.exterior)) == 1


@pytest.mark.parametrize("tolerance_px", [0.5, 1, 2, 5])
@given(masks)
def test_simplifying_stays_near_the_edge(tolerance_px: float, mask: Mask) -> None:
    exact, simple = mask_to_polygons(mask), mask_to_polygons(mask, tolerance_px)
    assert len(simple) == len(exact)
    for before, after in zip(exact, simple, strict=True):
        assert len(after.exterior) <= len(before.exterior)
        assert len(after.holes) == len(before.holes)
        start, end = after.exterior, np.roll(after.exterior, -1, axis=0)
        for corner in before.exterior:
            step = end - start
            share = ((corner - start) * step).sum(1) / np.maximum((step**2).sum(1), 1e-9)
            nearest = start + np.clip(share, 0, 1)[:, None] * step
            assert np.hypot(*(nearest - corner).T).min() <= tolerance_px * 1.5


def test_a_disc_needs_few_corners() -> None:
    y, x = np.mgrid[:200, :200]
    disc = np.hypot(y - 99.5, x - 99.5) < 80
    (exact,), (simple,) = mask_to_polygons(disc), mask_to_polygons(disc, 1.0)
    assert len(simple.exterior) * 5 < len(exact.exterior)
    assert mask_iou(polygons_to_mask([simple], disc.shape), disc) > 0.98


@pytest.mark.parametrize("line", [np.ones((1, 60), bool), np.eye(60, dtype=bool)])
def test_thin_lines_survive_simplifying(line: Mask) -> None:
    polygons = mask_to_polygons(np.pad(line, 3), 3.0)
    assert polygons_to_mask(polygons, (line.shape[0] + 6, line.shape[1] + 6)).any()


def test_parts_outside_of_the_image_are_cut_off() -> None:
    everywhere = Polygon(SQUARE * 100 - 300)
    assert polygons_to_mask([everywhere], (7, 5)).all()
    assert not polygons_to_mask([Polygon(SQUARE + 50)], (7, 5)).any()
    assert not polygons_to_mask([Polygon(SQUARE - 50)], (7, 5)).any()


def test_a_large_ring_takes_little_more_than_its_mask() -> None:
    side = 3000
    ring = np.array([[0, 0], [side, side], [0, side]], np.float64)
    with traced_peak() as peak:
        mask = fill_ring(ring, (side, side))
    assert peak.bytes < 5 * side**2
    rows, columns = np.arange(side)[:, None], np.arange(side)
    assert np.array_equal(mask, columns < rows)  # a centre on the slope is outside


def zigzag(corners: int, size: tuple[int, int]) -> np.ndarray:
    """A ring whose edges lead from the top of an image to its bottom and back."""
    x = np.linspace(0, size[1], corners)
    return np.stack([x, np.where(np.arange(corners) % 2, 0.0, size[0])], axis=1)


def test_many_long_edges_take_little_memory() -> None:
    size = (2000, 200)
    with traced_peak() as peak:
        mask = fill_ring(zigzag(1000, size), size)
    assert 0.3 < mask.mean() < 0.6
    assert peak.bytes < 100e6, "two million crossings of edges with rows"


def test_a_ring_that_would_take_minutes_is_refused() -> None:
    size = (3000, 4000)
    with pytest.raises(InvalidInputError, match="20000 edges pass 60000000 rows"):
        fill_ring(zigzag(20_000, size), size)
