"""The simulated team: balanced queues come near the bound, and starve nothing."""

import numpy as np
import pytest

from benchmarks.dispatch import Team, work_through


@pytest.mark.parametrize("seed", [1, 2])
def test_a_balanced_team_is_done_within_a_tenth_of_the_bound(seed: int) -> None:
    team = Team.drawn(people=12, tasks=1000, seed=seed)
    bound_s = team.bound_s()
    balanced, in_turn = (work_through(team, balanced) for balanced in (True, False))
    for told in (balanced, in_turn):
        assert (told.done_by == 1).all()
        assert told.makespan_s >= bound_s
    assert balanced.makespan_s < 1.1 * bound_s < in_turn.makespan_s
    # at no time does somebody sit idle for long while others have queues
    assert balanced.idle_s < 0.03 * 12 * balanced.makespan_s


def test_the_bound_of_a_team_by_hand() -> None:
    team = Team(
        seconds_a_mask=np.array([10.0, 20.0]),
        here=(((0.0, np.inf),), ((100.0, 200.0),)),
        masks=np.array([10, 5]),
        arrives_s=np.array([0.0, 0.0]),
        priority=np.zeros(2),
    )
    # 10 masks by 100 s, from then on 15 masks in 100 s: the other 5 take a third of that
    assert team.bound_s() == pytest.approx(100 + 5 / 0.15)
