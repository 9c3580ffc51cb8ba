"""Plans for lots: the numbers of the tables, and a promise that holds in simulation."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from sam_backend.errors import InvalidInputError
from sam_backend.metrics.acceptance import (
    AcceptancePlan,
    LotTest,
    Severity,
    Verdict,
    next_severity,
)

ACCEPT, REJECT, CONTINUE = Verdict.ACCEPT, Verdict.REJECT, Verdict.CONTINUE


@pytest.mark.parametrize(
    ("n_lot", "max_defects", "needed"),
    [
        # a plan for a single look has 99, 29 and 299 clean images, and 157 for one defective one
        (1_000_000, 0.03, [106, 211, 300]),
        (1_000_000, 0.1, [31, 60, 85]),
        (1_000_000, 0.01, [321, 639, 908]),
        # of a small lot fewer are needed, and all of it at the most
        (500, 0.03, [96, 176, 243]),
        (29, 0.1, [19, 27, 29]),
        (14, 0.1, [11, 14]),
        (14, 0.03, [14]),
        (1, 0.1, [1]),
    ],
)
def test_images_that_settle_a_lot(n_lot: int, max_defects: float, needed: list[int]) -> None:
    test = AcceptancePlan(max_defects=max_defects).for_lot(n_lot)
    assert [test.images_needed(d) for d in range(len(needed))] == needed
    for defective, n_images in enumerate(needed):
        assert test.verdict(defective, n_images) is ACCEPT
        assert test.verdict(defective, n_images - 1) is not ACCEPT


def test_a_lot_that_was_looked_at_wholly_is_what_it_is() -> None:
    for n_lot in (1, 2, 14, 29, 100):
        test = LotTest(n_lot, 0.1)
        for defective in range(n_lot + 1):
            is_good = defective / n_lot < 0.1
            assert test.verdict(defective, n_lot) is (ACCEPT if is_good else REJECT)
            assert test.proven_share(defective, n_lot) == defective / n_lot


def test_images_that_nobody_has_judged_speak_for_neither_side() -> None:
    test = LotTest(5000, 0.1)
    assert test.verdict(0, 31) is ACCEPT
    assert test.verdict(0, 31, unseen=1) is CONTINUE
    assert test.verdict(0, 60, unseen=1) is ACCEPT  # even if it were defective
    assert test.verdict(31, 31) is REJECT
    assert test.verdict(8, 8) is REJECT
    assert test.verdict(8, 31, unseen=23) is REJECT
    assert test.verdict(8, 100, unseen=92) is CONTINUE  # as if the others were clean
    assert test.verdict(4, 31, unseen=20) is CONTINUE
    assert test.proven_share(0, 60, unseen=1) == test.proven_share(1, 60)


def test_nothing_is_known_of_no_image() -> None:
    test = LotTest(500, 0.1)
    assert test.proven_share(0, 0) == 1.0
    assert test.verdict(0, 0) is CONTINUE
    with pytest.raises(InvalidInputError, match="a lot without an image"):
        LotTest(0, 0.1)
    with pytest.raises(
        InvalidInputError, match="500 images with 50 defective ones is not accepted"
    ):
        test.images_needed(50)


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


N_LOTS = 2000
RARELY = 0.05 + 3.1 * (0.05 * 0.95 / N_LOTS) ** 0.5
"""5 %, and what chance adds to it in 2,000 lots: a share of exactly 5 % passes it once in 1,000."""


def found_defects(n_lot: int, n_defective: int, seed: int) -> npt.NDArray[np.int64]:
    """Defective images among the first 0, 1, 2, … of 2,000 shuffled lots, shape (lots, n + 1)."""
    lots = np.zeros((N_LOTS, n_lot), np.int64)
    lots[:, :n_defective] = 1
    shuffled = np.random.default_rng(seed).permuted(lots, axis=1)
    return np.concatenate([np.zeros((N_LOTS, 1), np.int64), shuffled.cumsum(axis=1)], axis=1)


LOTS = [(14, 0.1), (60, 0.1), (60, 0.03), (400, 0.05), (2500, 0.03), (2500, 0.1)]


@pytest.mark.parametrize(("n_lot", "max_defects"), LOTS)
def test_bad_lots_are_rarely_accepted_whenever_one_looks(n_lot: int, max_defects: float) -> None:
    """Somebody looks after every single image, and stops at the first look that accepts."""
    test = LotTest(n_lot, max_defects)
    found = found_defects(n_lot, test.n_bad, seed=1)
    accepted = np.zeros(N_LOTS, np.bool_)
    for defective, n in enumerate(test.accepting_sizes(test.n_bad)):
        accepted |= found[:, n] <= defective
    assert accepted.mean() <= RARELY
    if n_lot == 2500:
        assert accepted.mean() > 0.035, "the plan would be needlessly strict"


@pytest.mark.parametrize(("n_lot", "max_defects"), [(60, 0.1), (1000, 0.03), (1000, 0.1)])
def test_bad_lots_are_rarely_accepted_if_one_follows_the_advice(
    n_lot: int, max_defects: float
) -> None:
    """As many images as would settle it, up to five times; plans for one look accept 19 to 28 %."""
    test = LotTest(n_lot, max_defects)
    sizes = test.accepting_sizes(test.n_bad)
    n_accepted = 0
    for found in found_defects(n_lot, test.n_bad, seed=2):
        n = test.clean_images
        for _ in range(5):
            verdict = test.verdict(int(found[n]), n)
            if verdict is not CONTINUE:
                break
            n = sizes[found[n]]
        n_accepted += verdict is ACCEPT
    assert n_accepted / N_LOTS <= RARELY


@pytest.mark.parametrize(("n_lot", "max_defects"), LOTS)
def test_good_lots_are_rarely_rejected_whenever_one_looks(n_lot: int, max_defects: float) -> None:
    test = LotTest(n_lot, max_defects)
    found = found_defects(n_lot, test.n_bad - 1, seed=3)
    rejected = np.zeros(N_LOTS, np.bool_)
    planned = test.clean_images
    sizes = [
        planned // 9,
        planned // 3,
        *(round(planned * f) for f in (0.7, 1, 1.2, 1.6, 2, 3, 4, 6)),
    ]
    for n in {min(max(n, 1), n_lot) for n in sizes}:
        told = [test.verdict(d, n) is REJECT for d in range(int(found[:, n].max()) + 1)]
        rejected |= np.array(told)[found[:, n]]
    assert rejected.mean() <= RARELY


def test_the_promise_holds_exactly_in_small_lots() -> None:
    """Counted, not simulated: over all ways in which defective images can lie in a lot."""
    for n_lot, max_defects in [(14, 0.1), (40, 0.1), (60, 0.05)]:
        test = LotTest(n_lot, max_defects)
        open_, seen = {0: 1.0}, 0  # probability of so many defective images without acceptance
        accepted = 0.0
        for most, n in enumerate(test.accepting_sizes(test.n_bad)):
            further: dict[int, float] = {}
            for d, p in open_.items():
                law = stats.hypergeom(n_lot - seen, test.n_bad - d, n - seen)
                for more in range(test.n_bad - d + 1):
                    further[d + more] = further.get(d + more, 0.0) + p * float(law.pmf(more))
            accepted += sum(p for d, p in further.items() if d <= most)
            open_, seen = {d: p for d, p in further.items() if d > most}, n
        assert 0.0 <= accepted <= 0.05 + 1e-9


def test_what_is_proven_holds_at_all_looks_together() -> None:
    test = LotTest(300, 0.1)
    found = found_defects(300, 40, seed=4)
    is_wrong = np.zeros(N_LOTS, np.bool_)
    for n in (10, 20, 30, 60, 120, 230):
        proven = [test.proven_share(d, n) for d in range(int(found[:, n].max()) + 1)]
        is_wrong |= np.array(proven)[found[:, n]] < 40 / 300
    assert is_wrong.mean() <= RARELY


@pytest.mark.parametrize("name", ["min_share", "iou", "max_defects", "confidence"])
@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_values_out_of_range(name: str, value: float) -> None:
    with pytest.raises(InvalidInputError, match=f"{name} must lie between 0 and 1, not {value}"):
        AcceptancePlan(**{name: value})


def test_a_plan_survives_json() -> None:
    plan = AcceptancePlan(0.9, 0.8, 0.05, severity=Severity.TIGHTENED)
    assert AcceptancePlan.of(plan.as_json()) == plan
