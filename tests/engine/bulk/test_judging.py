"""Verdicts on lots from what was submitted: weights, strata, what would settle it; the page."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sam_backend.datasets.left_out import LeftOut
from sam_backend.engine.bulk.review.judging import LotReport, Reviewed, report_of
from sam_backend.engine.bulk.review.samples import Sample
from sam_backend.engine.bulk.review.sampling import SampledImage
from sam_backend.quality.acceptance import AcceptancePlan, Verdict
from sam_backend.quality.corrections import correction
from tests.engine.semi_automatic.records import block

SQUARE = block(0, 0, 10, 10)


def report(
    n_clean: int, n_defective: int, n_left: int = 0, probabilities: tuple[float, float] = (0.5, 0.5)
) -> LotReport:
    """Clean images of stratum "a", defective ones of "b", some that nobody has looked at."""
    images = [SampledImage(f"clean-{i}", "a", probabilities[0]) for i in range(n_clean)]
    images += [SampledImage(f"bad-{i}", "b", probabilities[1]) for i in range(n_defective)]
    left = [SampledImage(f"left-{i}", "a", probabilities[0]) for i in range(n_left)]
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
        (29, 0, 0, Verdict.ACCEPT, 0),
        (28, 0, 0, Verdict.CONTINUE, 1),
        (28, 0, 1, Verdict.CONTINUE, 1),
        (29, 0, 3, Verdict.CONTINUE, 3),
        (45, 1, 0, Verdict.ACCEPT, 0),
        (29, 1, 0, Verdict.CONTINUE, 16),
        (0, 0, 29, Verdict.CONTINUE, 29),
        (10, 10, 0, Verdict.REJECT, 0),
        (10, 10, 9, Verdict.REJECT, 0),
    ],
)
def test_verdicts(n_clean: int, n_defective: int, n_left: int, verdict: Verdict, more: int) -> None:
    found = report(n_clean, n_defective, n_left)
    assert (found.verdict, found.more_clean_images) == (verdict, more)
    assert len(found.defective) == n_defective
    assert found.effective_images == pytest.approx(n_clean + n_defective)
    assert [one.sampled.digest for one in found.reviewed] == [
        image.digest for image in found.sample.images if not image.digest.startswith("left")
    ]


def test_rare_strata_weigh_as_little_as_they_are() -> None:
    even, uneven = report(30, 10), report(30, 10, probabilities=(0.1, 1.0))
    assert even.defect_estimate == pytest.approx(0.25)
    assert uneven.defect_estimate == pytest.approx(10 / 310)
    assert uneven.effective_images < 40
    assert even.verdict is Verdict.REJECT
    assert uneven.verdict is Verdict.CONTINUE
    assert uneven.more_clean_images > 0


def test_strata_tell_which_failed() -> None:
    strata = report(20, 5, 4).strata()
    assert strata["a"] == {
        "sampled": 24, "reviewed": 20, "defective": 0, "right masks": 1.0, "failed": False,
    }  # fmt: skip
    assert strata["b"] == {
        "sampled": 5, "reviewed": 5, "defective": 5, "right masks": 0.0, "failed": True,
    }  # fmt: skip


def test_a_sample_survives_json(tmp_path: Path) -> None:
    sample = report(3, 1).sample
    assert Sample.of(sample.as_json()) == sample
    assert Sample.of(sample.as_json()).name == sample.name
