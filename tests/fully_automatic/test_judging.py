"""Verdicts on lots from what was submitted: weights, strata, history, what would settle it."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sam_backend.datasets.left_out import LeftOut
from sam_backend.fully_automatic.review.judging import (
    LotReport,
    Reviewed,
    Stratum,
    history_rows,
    report_of,
)
from sam_backend.fully_automatic.review.samples import Sample
from sam_backend.fully_automatic.review.sampling import SampledImage
from sam_backend.metrics.acceptance import AcceptancePlan, Verdict
from sam_backend.metrics.corrections import correction
from sam_backend.store.lots import LOOKED, REOPENED, SAMPLED, LotRecord
from tests.semi_automatic.records import block

SQUARE = block(0, 0, 10, 10)


def report(
    n_clean: int,
    n_defective: int,
    n_left: int = 0,
    probabilities: tuple[float, float] = (0.5, 0.5),
    n_extra: int = 0,
) -> LotReport:
    """Clean images of stratum "a", defective ones of "b", some that nobody has looked at.

    `n_extra` further defective ones were added for their stratum, and do not decide.
    """
    low, high = probabilities
    images = [SampledImage(f"clean-{i}", "a", low, decides=True) for i in range(n_clean)]
    images += [SampledImage(f"bad-{i}", "b", high, decides=True) for i in range(n_defective)]
    images += [SampledImage(f"extra-{i}", "b", high, decides=False) for i in range(n_extra)]
    left = [SampledImage(f"left-{i}", "a", low, decides=True) for i in range(n_left)]
    plan = AcceptancePlan(max_defects=0.1)
    sample = Sample("run", "http://ls", 3, 0, ("folder",), 500, plan, (*images, *left))
    reviewed = [
        Reviewed(
            image,
            correction(image.digest, [SQUARE], [SQUARE] if image.stratum == "a" else []),
            datetime(2026, 1, 2, tzinfo=UTC),
        )
        for image in reversed(images)
    ]
    return report_of(sample, reviewed, LeftOut())


@pytest.mark.parametrize(
    ("n_clean", "n_defective", "n_left", "verdict", "more"),
    [
        # the lot of 500 is accepted after 30 clean images, 57 with a defective one, 81 with two
        (30, 0, 0, Verdict.ACCEPT, 0),
        (29, 0, 0, Verdict.CONTINUE, 1),
        (29, 0, 1, Verdict.CONTINUE, 1),
        (30, 0, 3, Verdict.CONTINUE, 3),
        (56, 0, 1, Verdict.ACCEPT, 0),
        (56, 1, 0, Verdict.ACCEPT, 0),
        (30, 1, 0, Verdict.CONTINUE, 26),
        (30, 1, 40, Verdict.CONTINUE, 40),
        (0, 0, 30, Verdict.CONTINUE, 30),
        (10, 10, 0, Verdict.REJECT, 0),
        (10, 10, 9, Verdict.REJECT, 0),
    ],
)
def test_verdicts(n_clean: int, n_defective: int, n_left: int, verdict: Verdict, more: int) -> None:
    found = report(n_clean, n_defective, n_left)
    assert (found.verdict, found.more_clean_images) == (verdict, more)
    assert found.settling_size == (more and more + n_clean + n_defective)
    assert (len(found.defective), found.counted) == (n_defective, n_defective)
    assert [one.sampled.digest for one in found.reviewed] == [
        image.digest for image in found.sample.images if not image.digest.startswith("left")
    ]


def test_rare_strata_weigh_as_little_as_they_are() -> None:
    even, uneven = report(30, 10), report(30, 10, probabilities=(0.1, 1.0))
    assert even.defect_estimate == pytest.approx(0.25)
    assert uneven.defect_estimate == pytest.approx(10 / 310)


def test_images_that_strata_add_count_for_the_figures_only() -> None:
    found = report(30, 0, n_extra=9)
    assert (found.verdict, found.counted, found.unseen) == (Verdict.ACCEPT, 0, 0)
    assert len(found.defective) == 9
    assert found.strata()["b"].failed


def test_the_history_tells_what_was_taken_back() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    looks = [
        LotRecord(SAMPLED, {"images_that_decide": 30, "images": 32}, at),
        *[LotRecord(LOOKED, report(29, 1).looked() | {"verdict": "continue sampling"}, at)] * 3,
    ]
    found = replace(report(30, 0), history=tuple(looks))
    assert found.no_longer_defective == ["bad-0"]
    assert [(one.times, one.found, one.verdict) for one in history_rows(found)] == [
        ("1", "30 images decide, 32 in all", ""),
        ("3", "1 defective of 30 reviewed of 30", "continue sampling"),
    ]
    reopened = replace(found, history=(*looks, LotRecord(REOPENED, {"reason": "new eyes"}, at)))
    assert reopened.no_longer_defective == []
    assert history_rows(reopened)[-1].found == "new eyes"
    assert len(found.as_json()["history"]) == 4


def test_strata_tell_which_failed() -> None:
    strata = report(20, 5, 4).strata()
    assert strata["a"] == Stratum(24, 20, defective=0, right_masks=1.0, failed=False)
    assert strata["b"] == Stratum(5, 5, defective=5, right_masks=0.0, failed=True)


def test_a_sample_survives_json(tmp_path: Path) -> None:
    sample = report(3, 1).sample
    assert Sample.of(sample.as_json()) == sample
    assert Sample.of(sample.as_json()).name == sample.name


def test_samples_of_an_earlier_release_decide_if_they_were_drawn_at_random() -> None:
    told = report(3, 1).sample.as_json()
    for image in told["images"]:
        del image["decides"]
    assert not Sample.of(told).deciding  # by folder: not a random sample of the whole lot
    assert len(Sample.of({**told, "by": []}).deciding) == 4
