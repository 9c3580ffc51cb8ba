"""Figures of an annotator, against tables worked by hand."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from sam_backend.datasets.types import LabelledMask
from sam_backend.metrics.comparison import Answer, ComparedImage, compare_image, compare_images
from sam_backend.metrics.error_analysis import faults
from sam_backend.metrics.scorecards import by_week, scorecard, scorecards
from tests.metrics.labelled import square

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
TRUTH = (
    square(0, 0, 40, label="a"),
    square(50, 0, 40, label="b"),
    square(100, 0, 20, label="a"),  # small: 400 px
    square(0, 50, 40, label="b"),
)
ANSWER = (
    square(0, 0, 40, 32, label="a"),  # IoU 0.8
    square(50, 0, 40, label="a"),  # wrong label
    # the small one is missing
    square(0, 50, 40, label="b"),
    square(60, 60, 30, label="b"),  # nothing is there
)


def compared(
    answer: tuple[LabelledMask, ...] = ANSWER, n: int = 6, seconds: float | None = 12.0
) -> list[ComparedImage]:
    """The same answer to so many images, two a week."""
    return [
        compare_image(
            TRUTH,
            Answer(str(i), "me", answer, None, seconds, MONDAY + timedelta(weeks=i // 2)),
        )
        for i in range(n)
    ]


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        ("quality", (0.8 + 1) / 4),  # two right of four and four
        ("matched_iou", (0.8 + 1 + 1) / 3),
        ("precision@0.5", 2 / 4),
        ("precision@0.75", 2 / 4),
        ("precision@0.9", 1 / 4),
        ("recall@0.5", 2 / 4),
        ("recall@0.9", 1 / 4),
        ("missing", 1 / 4),
        ("missing_small", 1.0),
        ("missing_larger", 0.0),
        ("extra", 1 / 4),
        ("wrong_label", 1 / 3),
        ("log_size_ratio", np.log(0.8) / 3),
        ("seconds_per_mask", 3.0),
    ],
)
def test_figures_are_those_of_the_table(figure: str, value: float) -> None:
    card = scorecard("me", compared(n=20))
    found = card.figures[figure]
    assert found is not None
    assert found.value == pytest.approx(value)
    if value not in {0, 1}:  # which twenty images that are alike do not prove
        assert found.low == found.high == pytest.approx(value)
    assert (card.images, card.objects, card.masks) == (20, 80, 80)


def test_a_mask_within_another_takes_nobodys_partner() -> None:
    """Crosswise the summed IoU would be higher, and nothing would have an IoU of 0.75."""
    truth = square(0, 0, 40), square(0, 0, 84, 40)
    answer = square(0, 0, 36, 40), square(0, 0, 20, 40)
    card = scorecard("me", [compare_image(truth, Answer(str(i), "me", answer)) for i in range(20)])
    assert [card.value(f"{name}@0.75") for name in ("precision", "recall")] == [0.5, 0.5]
    assert card.value("quality") == pytest.approx(0.9 / 2)
    assert card.value("matched_iou") == pytest.approx(0.9)
    assert (card.value("missing"), card.value("extra")) == (0.5, 0.5)


def test_at_an_iou_a_mask_may_be_found_that_is_nobodys_partner() -> None:
    """One is surely that of another; at 0.5 both would do, each for the other."""
    truth = square(40, 0, 40), square(4, 0, 72, 40)
    answer = square(40, 0, 36, 40), square(60, 0, 20, 40)
    card = scorecard("me", [compare_image(truth, Answer(str(i), "me", answer)) for i in range(20)])
    assert (card.value("recall@0.5"), card.value("recall@0.75")) == (1, 0.5)
    assert card.value("quality") == pytest.approx((20 / 40 + 36 / 72) / 2)
    assert card.value("matched_iou") == pytest.approx(0.9)
    assert (card.value("missing"), card.value("extra")) == (0.5, 0.5)


def test_five_images_and_twenty_objects_are_the_least() -> None:
    def found(*truths: tuple[LabelledMask, ...]) -> float | None:
        images = [compare_image(one, Answer(str(i), "me", TRUTH)) for i, one in enumerate(truths)]
        return scorecard("me", images).value("recall@0.5")

    assert found(*[TRUTH] * 5) == 1
    assert found(*[TRUTH] * 4, TRUTH[:3]) is None
    assert found(*[TRUTH + TRUTH] * 4) is None


def test_what_is_drawn_exactly_is_perfect() -> None:
    card, labels = scorecards("me", compared(TRUTH))
    assert [card.value(name) for name in ("quality", "matched_iou", "boundary_iou")] == [1, 1, 1]
    assert card.average is not None
    assert (card.average.ap, card.average.ar) == (pytest.approx(1), pytest.approx(1))
    assert labels.keys() == {"a", "b"}
    assert faults(card) == []


def test_few_images_or_objects_are_no_number() -> None:
    assert set(scorecard("me", compared(n=4)).as_json().values()) == {"me", 4, 16, None}
    told = scorecard("me", compared(n=6)).as_json()
    assert told["missing_small"] is None  # six small objects
    assert told["missing"]["value"] == 0.25
    assert scorecard("me", []).figures["quality"] is None
    assert scorecard("me", compared(seconds=None, n=9)).figures["seconds_per_mask"] is None


def test_intervals_are_wider_where_images_differ() -> None:
    images = [*compared(TRUTH, n=10), *compared((), n=10)]
    found = scorecard("me", images).figures["missing"]
    assert found is not None
    assert found.low < 0.35 < 0.5 < 0.65 < found.high


def test_each_label_has_its_own_figures() -> None:
    _, cards = scorecards("me", compared(n=20))
    assert {name: card.objects for name, card in cards.items()} == {"a": 40, "b": 40}
    assert cards["a"].value("missing") == 0.5
    assert cards["b"].value("missing") == 0
    assert cards["b"].value("wrong_label") == 0.5
    assert cards["a"].value("precision@0.5") == 0.5  # one of its two masks is a "b"


def test_each_week_has_its_own_figures() -> None:
    cards = by_week("me", compared(n=12))
    assert list(cards) == [f"2026-W{week:02}" for week in range(2, 8)]
    assert {card.images for card in cards.values()} == {2}


def test_several_processes_find_the_same() -> None:
    truths = [TRUTH] * 1300
    answers = [Answer(str(i), "me", ANSWER) for i in range(1300)]
    one, two = (compare_images(truths, answers, processes) for processes in (1, 2))
    assert [image.answer.image for image in two] == [answer.image for answer in answers]
    assert [[(o.iou, o.boundary_iou) for o in image.objects] for image in two] == [
        [(o.iou, o.boundary_iou) for o in image.objects] for image in one
    ]


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (TRUTH[:2] + TRUTH[3:], ["misses small objects"]),
        (TRUTH[1:], ["misses objects"]),
        ((*TRUTH, square(60, 60, 30)), ["masks of nothing"]),
        (
            tuple(LabelledMask(one.rle, "b" if one.label == "a" else "a") for one in TRUTH),
            ["wrong labels"],
        ),
        (
            (
                square(0, 0, 44),
                square(46, 0, 48, 44, "b"),
                square(96, 0, 28, 24),
                square(0, 46, 44, 48, "b"),
            ),
            ["loose boundary"],
        ),
        (
            (
                square(0, 0, 36),
                square(54, 4, 32, 32, "b"),
                square(103, 3, 14),
                square(4, 54, 32, 32, "b"),
            ),
            ["tight boundary"],
        ),
    ],
)
def test_a_fault_is_named(answer: tuple[LabelledMask, ...], named: list[str]) -> None:
    assert [fault.name for fault in faults(scorecard("me", compared(answer, n=30)))] == named


def test_what_is_not_proven_is_no_fault() -> None:
    assert faults(scorecard("me", compared(TRUTH[1:], n=4))) == []
    once = [*compared(TRUTH, n=19), *compared(TRUTH[1:], n=1)]
    assert faults(scorecard("me", once)) == []
