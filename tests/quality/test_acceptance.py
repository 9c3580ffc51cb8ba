"""Plans for lots: the numbers of the tables, and a promise that holds in simulation."""

import numpy as np
import pytest
from scipy import stats

from sam_backend.errors import InvalidInputError
from sam_backend.quality.acceptance import (
    AcceptancePlan,
    Severity,
    Verdict,
    clean_images_needed,
    defect_bounds,
    next_severity,
)

ACCEPT, REJECT, CONTINUE = Verdict.ACCEPT, Verdict.REJECT, Verdict.CONTINUE


@pytest.mark.parametrize(
    ("max_defects", "n_images"), [(0.1, 29), (0.05, 59), (0.01, 299), (0.03, 99), (0.2, 14)]
)
def test_clean_images_of_the_tables(max_defects: float, n_images: int) -> None:
    assert clean_images_needed(max_defects) == n_images
    plan = AcceptancePlan(max_defects=max_defects)
    assert plan.clean_images == n_images
    assert plan.verdict(0, n_images) is ACCEPT
    assert plan.verdict(0, n_images - 1) is CONTINUE
    assert plan.verdict(0, n_images, is_complete=False) is CONTINUE
    assert plan.verdict(1, n_images) is CONTINUE
    assert plan.verdict(n_images, n_images) is REJECT
    assert plan.verdict(n_images, n_images, is_complete=False) is REJECT


@pytest.mark.parametrize(("defective", "n_images"), [(0, 10), (1, 46), (3, 40), (10, 10)])
def test_bounds_are_those_of_scipys_exact_test(defective: int, n_images: int) -> None:
    exact = stats.binomtest(defective, n_images).proportion_ci(0.9)
    assert defect_bounds(defective, n_images) == pytest.approx((exact.low, exact.high))


def test_nothing_is_known_of_no_image() -> None:
    assert defect_bounds(0, 0) == (0.0, 1.0)
    assert AcceptancePlan().verdict(0, 0) is CONTINUE


@pytest.mark.parametrize(
    ("verdicts", "severity"),
    [
        ([], Severity.NORMAL),
        ([ACCEPT], Severity.NORMAL),
        ([ACCEPT, ACCEPT], Severity.RELAXED),
        ([ACCEPT, CONTINUE, ACCEPT], Severity.RELAXED),
        ([ACCEPT, ACCEPT, REJECT], Severity.TIGHTENED),
        ([REJECT, ACCEPT], Severity.TIGHTENED),
        ([REJECT, ACCEPT, ACCEPT], Severity.NORMAL),
        ([REJECT, ACCEPT, ACCEPT, ACCEPT], Severity.NORMAL),
        ([REJECT, ACCEPT, ACCEPT, ACCEPT, ACCEPT], Severity.RELAXED),
    ],
)
def test_switching_rules(verdicts: list[Verdict], severity: Severity) -> None:
    assert next_severity(verdicts) is severity


def test_bad_lots_are_accepted_as_rarely_as_promised() -> None:
    rng = np.random.default_rng(0)
    plan = AcceptancePlan(max_defects=0.1)
    for n_images in (29, 46, 100):
        defective = rng.binomial(n_images, 0.1, 2000)
        accepted = [plan.verdict(d, n_images) is ACCEPT for d in range(n_images + 1)]
        assert np.mean([accepted[d] for d in defective]) < 0.06


@pytest.mark.parametrize("name", ["min_share", "iou", "max_defects", "confidence"])
@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_values_out_of_range(name: str, value: float) -> None:
    with pytest.raises(InvalidInputError, match=f"{name} must lie between 0 and 1, not {value}"):
        AcceptancePlan(**{name: value})


def test_a_plan_survives_json() -> None:
    plan = AcceptancePlan(0.9, 0.8, 0.05, severity=Severity.TIGHTENED)
    assert AcceptancePlan.of(plan.as_json()) == plan
