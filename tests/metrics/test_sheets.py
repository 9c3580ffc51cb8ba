"""Picture sheets, read back from their PNG."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.metrics.drawing import (
    ANSWER,
    CAPTION_PX,
    GAP_PX,
    NEGATIVE,
    POSITIVE,
    SIDE_PX,
    TRUTH,
    View,
)
from sam_backend.metrics.interactive import InteractiveReport, Sample, evaluate
from sam_backend.metrics.sheets import before_after_sheet, evaluation_sheet, shown_examples
from tests.metrics.models import Known, oracle
from tests.metrics.reports import result

GREY = np.full((90, 120, 3), 128, np.uint8)
LEFT = np.zeros((90, 120), np.bool_)
LEFT[20:70, 10:50] = True
RIGHT = np.zeros_like(LEFT)
RIGHT[30:60, 70:110] = True
BOTH = np.stack([LEFT, RIGHT])
NOTHING = Known(lambda prompt: [np.zeros_like(LEFT)])
TINT = (0.5 * 128 + 0.5 * np.array(ANSWER)).astype(np.uint8)


def n_pixels(picture: np.ndarray, colour: tuple[int, int, int] | np.ndarray) -> int:
    return int((picture == np.array(colour)).all(axis=-1).sum())


def read(png: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(png)), cv2.COLOR_BGR2RGB)


def test_a_tile_shows_mask_outline_and_clicks_where_they_are() -> None:
    view = View.of(GREY, LEFT)
    tile = view.tile("", LEFT, [(20, 30, True), (60, 50, False)])
    height = tile.shape[0] - CAPTION_PX
    scale = SIDE_PX / 100  # the mask is 50 px high, so that 100 px are shown, from column 0 on
    assert view.scale == pytest.approx(scale)
    assert tile.shape == (round(90 * scale) + CAPTION_PX, SIDE_PX, 3)
    assert tile[round(30.5 * scale), round(20.5 * scale)].tolist() == list(POSITIVE)
    assert tile[round(50.5 * scale), round(60.5 * scale)].tolist() == list(NEGATIVE)
    assert n_pixels(tile[:height], TINT) == pytest.approx(LEFT.sum() * scale**2, rel=0.15)
    assert n_pixels(tile, TRUTH) > 100
    assert tile[5, 5].tolist() == [128, 128, 128]


@pytest.mark.parametrize(
    ("size", "box", "shown"),
    [
        ((1000, 1000), (500, 500, 510, 510), 300),
        ((1000, 1000), (0, 0, 400, 100), 800),
        ((50, 400), (10, 10, 20, 300), 400),
        ((1, 1), (0, 0, 1, 1), 1),
    ],
)
def test_a_view_has_surroundings_and_stays_inside(
    size: tuple[int, int], box: tuple[int, int, int, int], shown: int
) -> None:
    truth = np.zeros(size, np.bool_)
    top, left, bottom, right = box
    truth[top:bottom, left:right] = True
    view = View.of(np.zeros((*size, 3), np.uint8), truth)
    lengths = []
    for part, low, high, length in zip(view.where, box[:2], box[2:], size, strict=True):
        assert 0 <= part.start <= low
        assert high <= part.stop <= length
        lengths.append(part.stop - part.start)
    assert max(lengths) == shown


def test_worst_middle_and_best_are_shown() -> None:
    results = [result(str(i), str(i), i / 100) for i in np.random.default_rng(0).permutation(90)]
    shown = shown_examples(InteractiveReport(tuple(results)))
    assert [(kind, int(one.image)) for kind, one in shown] == [
        *(("worst", i) for i in (0, 1, 2)),
        *(("middle", i) for i in (43, 44, 45)),
        *(("best", i) for i in (87, 88, 89)),
    ]
    few = InteractiveReport(tuple(results[:2]))
    assert [one for _, one in shown_examples(few)] == sorted(results[:2], key=lambda r: r.ious[0])


def test_an_evaluation_sheet_has_a_row_an_example(tmp_path: Path) -> None:
    samples = [Sample(GREY, BOTH, "a"), Sample(GREY, BOTH[:1], "b")]
    model, png = oracle(BOTH), tmp_path / "sheet.png"
    evaluation_sheet(model, samples, shown_examples(evaluate(model, samples)), png)
    picture = read(png)
    assert picture.shape[1] == GAP_PX + 4 * (SIDE_PX + GAP_PX)
    photo, answers = picture[:, : SIDE_PX + GAP_PX], picture[:, SIDE_PX + GAP_PX :]
    assert n_pixels(photo, TINT) == 0
    assert n_pixels(answers, TINT) > 9 * 5000  # three answers to each of three masks
    assert n_pixels(photo, TRUTH) > 300


def test_a_sheet_without_its_examples_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no mask to draw"):
        evaluation_sheet(NOTHING, [], [("best", result("a", "a", 1))], tmp_path / "sheet.png")


def test_before_and_after_stand_side_by_side(tmp_path: Path) -> None:
    png = tmp_path / "sheet.png"
    before_after_sheet(NOTHING, oracle(BOTH), iter([Sample(GREY, BOTH, "a")]), png)
    picture = read(png)
    columns = [
        picture[:, GAP_PX + i * (SIDE_PX + GAP_PX) : (i + 1) * (SIDE_PX + GAP_PX)] for i in range(6)
    ]
    assert [n_pixels(column, TINT) > 0 for column in columns] == [False, True] * 3


@pytest.mark.parametrize(("n_images", "n_rows"), [(1, 12), (2, 12), (5, 10), (30, 12)])
def test_twelve_masks_are_shown_at_the_most(n_images: int, n_rows: int, tmp_path: Path) -> None:
    png = tmp_path / "sheet.png"
    samples = (Sample(GREY, np.repeat(BOTH[:1], 16, 0), str(i)) for i in range(n_images))
    before_after_sheet(NOTHING, NOTHING, samples, png)
    row = View.of(GREY, LEFT).tile("").shape[0] + GAP_PX
    assert read(png).shape[0] == 2 * (CAPTION_PX + GAP_PX) + n_rows * row
