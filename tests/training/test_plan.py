"""Budgets, phases and rates."""

import numpy as np
import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.training.plan import Depth, Phase, TrainingPlan, retraining_plan

LAST = Phase(1.0, 64, 1, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrainingPlan(), "budget"),
        (lambda: TrainingPlan(steps=1, phases=(LAST, Phase(0.5, 64, 1, 2))), "rising"),
        (lambda: TrainingPlan(steps=1, phases=(Phase(0.5, 64, 1, 2),)), r"1\.0"),
        (lambda: TrainingPlan(steps=1, accumulate=0), "accumulate must be at least 1, not 0"),
        (lambda: Phase(1.0, 64, 1, 1), "not 1 and 1"),
        (lambda: Phase(1.0, 64, 0, 2), "not 0 and 2"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(make, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()


def test_the_rate_warms_up_and_cools_down() -> None:
    plan = TrainingPlan(steps=100, warmup_steps=10, learning_rate=1.0)
    rates = [plan.rate(step, plan.progress(step, 0.0)) for step in range(100)]
    assert int(np.argmax(rates)) == 9
    assert rates[0] == pytest.approx(0.1, rel=0.01)
    assert rates[-1] < 0.02


def test_the_sooner_spent_budget_counts() -> None:
    plan = TrainingPlan(steps=10, minutes=10)
    assert plan.progress(5, 60.0) == 0.5
    assert plan.progress(1, 480.0) == 0.8
    assert plan.progress(20, 0.0) == 1.0
    assert plan.phase(0.0).size < plan.phase(1.0).size


@pytest.mark.parametrize("depth", list(Depth))
@pytest.mark.parametrize("steps", [1, 7, 300])
def test_retraining_plans_are_judged_at_least_once(depth: Depth, steps: int) -> None:
    plan = retraining_plan(depth, steps, seed=3)
    assert (plan.steps, plan.depth, plan.seed) == (steps, depth, 3)
    assert 1 <= plan.judge_every <= steps
    assert plan.phase(0.0).size is None
