"""Dead leaves: the masks tile the picture, pieces are connected, wholes hold their parts."""

import cv2
import numpy as np
import pytest

from sam_backend.training.canvas import MIN_AREA_SHARE
from tools.starter.leaves import leaves_scene
from tools.starter.materials import MATERIALS
from tools.starter.pile import Pile

ALL = slice(0, 40), slice(0, 40)


def covering(rows: slice, columns: slice) -> np.ndarray:
    """Full coverage of some rows and columns of a 40 x 40 picture."""
    coverage = np.zeros((40, 40), np.uint8)
    coverage[rows, columns] = 255
    return coverage


def colour(value: float) -> np.ndarray:
    return np.full((40, 40, 3), value, np.float32)


def test_masks_cover_all_but_specks() -> None:
    for seed in range(10):
        scene = leaves_scene(np.random.default_rng(seed), 96)
        assert scene.masks.any(0).mean() > 0.9


def test_most_masks_are_one_piece_and_some_are_wholes_of_several() -> None:
    n_pieces = []
    for seed in range(12):
        scene = leaves_scene(np.random.default_rng(seed), 96)
        n_pieces += [
            cv2.connectedComponents(m.astype(np.uint8), None, 4)[0] - 1 for m in scene.masks
        ]
    assert 0.7 < np.mean(np.array(n_pieces) == 1) < 1


def test_scenes_are_full_of_things_of_every_size() -> None:
    areas = np.concatenate(
        [leaves_scene(np.random.default_rng(s), 128).masks.mean((1, 2)) for s in range(12)]
    )
    assert areas.min() >= MIN_AREA_SHARE
    assert np.percentile(areas, 90) > 20 * np.percentile(areas, 10)


def test_what_was_laid_first_stays_in_front() -> None:
    pile = Pile((40, 40))
    pile.lay(covering(slice(10, 20), slice(0, 40)), colour(200), ALL)
    pile.lay(covering(slice(0, 40), slice(0, 40)), colour(50), ALL)
    assert pile.filled() == 1
    assert (pile.pixels[10:20] == 200).all()
    assert (pile.pixels[:10] == 50).all()
    assert (pile.pixels[20:] == 50).all()
    areas = sorted(int(mask.sum()) for mask in pile.masks(1))
    assert areas == [400, 400, 800, 1200]  # two pieces, the bar, and the ground as a whole


def test_a_thing_with_a_part_is_a_whole_too() -> None:
    pile = Pile((40, 40))
    part = pile.lay(covering(slice(10, 20), slice(10, 20)), colour(200), ALL)
    pile.lay(covering(slice(5, 25), slice(5, 25)), colour(100), ALL, [part])
    areas = sorted(int(mask.sum()) for mask in pile.masks(1))
    assert areas == [100, 300, 400]


def test_shadows_fall_on_what_lies_behind_only() -> None:
    pile = Pile((40, 40))
    pile.lay(covering(slice(0, 20), slice(0, 40)), colour(200), ALL)
    pile.darken(covering(slice(10, 30), slice(0, 40)), ALL, 0.5)
    pile.lay(covering(slice(0, 40), slice(0, 40)), colour(100), ALL)
    assert pile.pixels[:20].min() == 200
    np.testing.assert_allclose(pile.pixels[20:30], 50, atol=1)
    assert pile.pixels[30:].min() == 100


def test_hidden_layers_have_an_empty_window() -> None:
    pile = Pile((40, 40))
    pile.lay(covering(slice(0, 30), slice(0, 40)), colour(200), ALL)
    rows, columns = pile.seen(covering(slice(0, 20), slice(0, 40)), ALL)
    assert rows.stop - rows.start == columns.stop - columns.start == 0
    rows, columns = pile.seen(covering(slice(20, 35), slice(5, 12)), ALL)
    assert (rows, columns) == (slice(30, 35), slice(5, 12))


@pytest.mark.parametrize("material", [m for m, _ in MATERIALS], ids=lambda m: m.__name__)
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (300, 7), (200, 260)])
def test_materials_of_any_size_stay_near_their_colour(material, size) -> None:
    wanted = np.array([90, 120, 150], np.float32)
    means = []
    for seed in range(6):
        surface = material(np.random.default_rng(seed), wanted, size)
        assert surface.shape == (*size, 3)
        assert surface.dtype == np.float32
        means.append(surface.mean((0, 1)))
    if min(size) > 100:
        np.testing.assert_allclose(np.mean(means, 0), wanted, atol=45)
