"""The benchmark's judge says equal only of what is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.speed.equality import judge_close, judge_embedding, judge_exact
from benchmarks.speed.outcome import Outcome, box_of, by_key, n_different
from benchmarks.speed.thresholds import Thresholds, box_ious
from sam_backend.masks import rle
from tests.masks.strategies import masks


def square(x: int, y: int, side: int = 20, size: int = 400, **figures: object) -> Outcome:
    """A square mask, named by its corner."""
    mask = np.zeros((size, size), np.bool_)
    mask[y : y + side, x : x + side] = True
    told = {"predicted_iou": 0.95, "stability": 0.97} | figures
    return Outcome(key=(x, y), rle=rle.encode(mask), box=box_of(mask), **told)


def many(n: int = 4) -> list[Outcome]:
    """Squares that do not touch."""
    return [square(40 * column, 40 * row) for column in range(n) for row in range(n)]


def copies(n: int) -> list[Outcome]:
    """So many masks of one and the same shape."""
    one = square(0, 0)
    return [replace(one, key=(number,)) for number in range(n)]


def moved(outcome: Outcome, n_pixels: int) -> Outcome:
    """The same with so many pixels less."""
    mask = rle.decode(outcome.rle)
    rows, columns = np.nonzero(mask)
    mask[rows[:n_pixels], columns[:n_pixels]] = False
    return replace(outcome, rle=rle.encode(mask))


def test_what_is_the_same_is_equal_in_any_order() -> None:
    assert judge_exact(many(), many()[::-1], Thresholds()).equal
    assert judge_close(many(), many()[::-1]).equal


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"predicted_iou": 0.95002}, "predicted IoU"),
        ({"stability": 0.9702}, "stability"),
        ({"box": (0.0, 0.0, 21.0, 19.0)}, "box"),
    ],
)
def test_a_figure_that_is_off(change: dict[str, object], fault: str) -> None:
    ours = many()
    ours[0] = replace(ours[0], **change)
    verdict = judge_exact(many(), ours)
    assert len(verdict.faults) == 1
    assert fault in verdict.faults[0]


def test_logits_are_measured_by_the_largest() -> None:
    logits = np.linspace(-20, 20, 16, dtype=np.float32).reshape(4, 4)
    theirs = [replace(one, logits=logits) for one in many()]
    for offset, equal in ((1e-4, True), (3e-4, False)):
        ours = [replace(one, logits=logits + np.float32(offset)) for one in many()]
        assert judge_exact(theirs, ours).equal == equal


def test_one_pixel_in_one_mask_of_a_hundred_is_allowed() -> None:
    theirs = copies(100)
    ours = [moved(theirs[0], 1), *theirs[1:]]
    assert judge_exact(theirs, ours).equal
    assert not judge_exact(theirs, [moved(theirs[0], 2), *theirs[1:]]).equal  # 2 of 160,000
    assert not judge_exact(theirs[:99], ours[:99]).equal  # under 99 %


def test_nobody_is_more_equal_to_the_reference_than_itself() -> None:
    theirs = copies(100)
    again = [*(moved(one, 1) for one in theirs[:20]), *theirs[20:]]
    for n_changed, equal in ((20, True), (27, True), (30, False)):  # 20 % and two errors of 4 %
        ours = [*theirs[n_changed:], *(moved(one, 1) for one in theirs[:n_changed])]
        verdict = judge_exact(theirs, ours, again=lambda: again)
        assert verdict.equal == equal
        assert verdict.figures["identical, reference in another batch"] == 0.8


@pytest.mark.parametrize("figures", [{"predicted_iou": 0.88005}, {"stability": 0.95005}])
def test_a_mask_at_a_threshold_may_be_missing(figures: dict[str, float]) -> None:
    theirs = copies(400)
    extra = square(300, 300, **figures)
    assert judge_exact([*theirs, extra], theirs, Thresholds()).equal
    assert judge_exact(theirs, [*theirs, extra], Thresholds()).equal
    assert not judge_exact([*theirs, extra], theirs).equal  # where no threshold was
    assert not judge_exact([*many(), extra], many(), Thresholds()).equal  # 1 of 17


def test_a_mask_that_no_threshold_explains_may_not_be_missing() -> None:
    theirs = copies(400)
    assert not judge_exact([*theirs, square(300, 300)], theirs, Thresholds()).equal


def test_suppression_the_other_way_round_is_explained_by_a_tie_alone() -> None:
    theirs = copies(400)
    one, other = square(300, 300), square(302, 300, predicted_iou=0.95005)
    assert judge_exact([*theirs, one], [*theirs, other], Thresholds()).equal
    sure = square(302, 300, predicted_iou=0.96)
    assert not judge_exact([*theirs, one], [*theirs, sure], Thresholds()).equal


def test_what_a_disputed_mask_suppressed_is_explained_too() -> None:
    theirs = copies(800)
    at_edge = square(300, 300, predicted_iou=0.97, stability=0.95005)
    suppressed = square(302, 300, predicted_iou=0.9)
    assert judge_exact([*theirs, at_edge], [*theirs, suppressed], Thresholds()).equal


def test_close_masks_are_matched_by_overlap() -> None:
    theirs = many()
    assert judge_close(theirs, [replace(one, key=(0.0,)) for one in theirs]).equal
    assert not judge_close(theirs, theirs[:-1]).equal
    assert not judge_close(theirs[:-1], theirs).equal
    assert not judge_close(theirs, [moved(one, 20) for one in theirs]).equal  # mIoU 0.95
    assert judge_close(theirs, [moved(one, 3) for one in theirs]).equal
    elsewhere = [replace(one, key=(-1.0, *one.key)) for one in theirs]
    assert not judge_close(theirs, elsewhere, n_key=1).equal


def test_an_embedding_may_be_so_far_off() -> None:
    theirs = np.ones((4, 8, 8))
    assert judge_embedding(theirs, theirs * 1.01, 1.5e-2).equal
    assert not judge_embedding(theirs, theirs * 1.02, 1.5e-2).equal
    assert not judge_embedding(theirs, theirs * np.nan, 1.5e-2).equal


def test_nothing_to_compare_proves_nothing() -> None:
    assert not judge_exact([], []).equal
    assert not judge_close([], []).equal


def test_keys_must_tell_masks_apart() -> None:
    with pytest.raises(ValueError, match="2 outcomes have only 1 keys"):
        by_key([many()[0], many()[0]])


@given(masks, st.integers(0, 1000))
def test_different_pixels_are_counted_from_runs(mask: np.ndarray, seed: int) -> None:
    other = mask ^ (np.random.default_rng(seed).random(mask.shape) < 0.3)
    counted = n_different(rle.encode(mask), rle.encode(other))
    assert counted == np.count_nonzero(mask != other)


def test_boxes_overlap_as_torchvision_says() -> None:
    torchvision = pytest.importorskip("torchvision")
    import torch

    one, others = square(10, 10), [square(12, 10), square(300, 300), square(10, 10)]
    boxes = torch.tensor([other.box for other in others])
    expected = torchvision.ops.box_iou(torch.tensor([one.box]), boxes)[0].numpy()
    np.testing.assert_allclose(box_ious(one, others), expected, atol=1e-6)
