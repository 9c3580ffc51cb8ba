"""What several people agree on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from sam_backend.masks.rle import decode, encode
from sam_backend.metrics.agreement import agreements
from sam_backend.metrics.comparison import Answer
from sam_backend.metrics.consensus import consensus, majority
from tests.metrics.labelled import SIZE, square


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_a_pixel_goes_with_the_majority(seed: int, people: int) -> None:
    rng = np.random.default_rng(seed)
    masks = rng.random((people, 7, 9)) < rng.random((people, 1, 1))
    expected = 2 * masks.sum(axis=0) > people
    np.testing.assert_array_equal(decode(majority([encode(mask) for mask in masks])), expected)


def test_what_most_have_drawn_stays() -> None:
    found = consensus(
        {
            "1": [square(0, 0, 30), square(50, 0, 20, label="b")],
            "2": [square(1, 0, 30), square(50, 0, 20, label="b"), square(90, 50, 20)],
            "3": [square(2, 0, 30)],
        }
    )
    assert [(one.votes, one.mask.label) for one in found.agreed] == [(3, "a"), (2, "b")]
    (middle, _) = found.agreed
    expected = np.zeros(SIZE, np.bool_)
    expected[0:30, 1:31] = True  # two of three
    np.testing.assert_array_equal(decode(middle.mask.rle), expected)
    assert middle.mean_iou == pytest.approx((1 + 2 * 29 / 31) / 3)
    assert found.dropped == (1,)
    assert found.disagreement == pytest.approx(1 - (middle.mean_iou + 2 / 3) / 3)


def test_a_tie_of_labels_is_no_label() -> None:
    found = consensus({"1": [square(0, 0, 9, label="a")], "2": [square(0, 0, 9, label="b")]})
    assert [(one.mask.label, dict(one.labels)) for one in found.agreed] == [
        (None, {"a": 1, "b": 1})
    ]


def test_who_draws_alike_does_not_disagree() -> None:
    same = [square(0, 0, 30), square(50, 0, 20)]
    assert consensus({"1": same, "2": same, "3": same}).disagreement == 0
    assert consensus({"1": [], "2": []}).disagreement == 0
    assert consensus({"1": same, "2": []}).agreed == ()


def answers(who: str, *labels: str, shift: int = 0) -> list[Answer]:
    """Ten images of so many squares."""
    masks = tuple(square(30 * i + shift, 0, 20, label=label) for i, label in enumerate(labels))
    return [Answer(str(i), who, masks) for i in range(10)]


def test_people_agree_whoever_is_named_first() -> None:
    told = [*answers("1", "a", "b", "a"), *answers("2", "a", "b", "b", shift=2)]
    (one,), (other,) = agreements(told), agreements(told[::-1])
    assert one.people == other.people == ("1", "2")
    assert one.figures == other.figures
    assert one.matched_iou is not None
    assert one.matched_iou.value == pytest.approx(18 / 22)
    kappa = cohen_kappa_score(["a", "b", "a"], ["a", "b", "b"])
    assert one.label_kappa == pytest.approx(kappa)


def test_who_agrees_least_comes_first() -> None:
    told = [*answers("1", "a", "b"), *answers("2", "a", "b"), *answers("3", "b", "a")]
    assert [one.people for one in agreements(told)] == [("1", "3"), ("2", "3"), ("1", "2")]


def test_few_common_images_are_no_number() -> None:
    told = [*answers("1", "a", "b")[:4], *answers("2", "a", "b")]
    (one,) = agreements(told)
    assert one.images == 4
    assert set(one.figures.values()) == {None}
    assert agreements(answers("1", "a")) == []
