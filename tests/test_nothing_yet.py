"""What is reckoned from a history, where there is none yet: an answer, and no error."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam_backend.dispatch.ordering.groups import groups_of, injections
from sam_backend.dispatch.ordering.planning import change_table, kinds_of, plan_order, survey
from sam_backend.dispatch.ordering.scores import STAGE_WEIGHTS
from sam_backend.metrics.agreement import agreements
from sam_backend.metrics.diversity import quotas
from sam_backend.metrics.intervals import Scale, ratio_interval
from sam_backend.metrics.prefill_curve import CurvePoint, draw_curve
from sam_backend.monitoring.board import Queues, TradeOff, board, trade_off, triage
from sam_backend.monitoring.stage_plot import draw_stages
from sam_backend.quality.plots import draw_standings
from sam_backend.stages.gates import Reading
from sam_backend.stages.labelling import (
    Course,
    CoursePoint,
    Thirds,
    by_stage,
    masks_gain,
    masks_per_image,
    pace_gain,
    points,
    seconds_per_mask,
    visits,
)
from sam_backend.stages.policy import policies
from sam_backend.stages.stage_metrics import gather
from sam_backend.store.database import Database
from tests.databases import database, settings
from tests.projects.working_project import opened

__all__ = ["database", "settings"]

NOTHING = np.zeros(0)
NO_TASKS = survey([], [], kinds_of([], 5))


@pytest.mark.parametrize(
    ("reckon", "answer"),
    [
        (lambda: visits([], []), []),
        (lambda: by_stage([]), {}),
        (lambda: points([]), []),
        (lambda: seconds_per_mask([]), None),
        (lambda: masks_per_image([]), None),
        (lambda: pace_gain([]), None),
        (lambda: masks_gain([]), None),
        (lambda: trade_off([], None, {}), []),
        (lambda: triage({}).shares, {"accepted": 0, "review": 0, "discarded": 0}),
        (lambda: plan_order(NO_TASKS, STAGE_WEIGHTS["1"], 0.3, datetime.now(UTC)), []),
        (lambda: change_table([], []), []),
        (lambda: groups_of("label", {}), []),
        (lambda: injections([], np.zeros((0, 0)), NOTHING, 3), []),
        (lambda: quotas(np.zeros(0, np.int64), 5).tolist(), []),
        (lambda: agreements([]), []),
        (lambda: ratio_interval(NOTHING, NOTHING, Scale.POSITIVE), None),
        (lambda: CurvePoint.of(0.5, []).recall, {"0.5": None, "0.75": None}),
    ],
)  # fmt: skip
def test_no_history_has_an_answer(reckon: Callable[[], Any], answer: Any) -> None:
    assert reckon() == answer


def test_a_board_of_nothing_has_every_part(database: Database) -> None:
    project = opened(database)
    evidence = gather(project, None, "starter-3")
    told = board(project, evidence, policies({}), datetime.now(UTC))
    assert told.failures == {}
    assert told.course == told.lots == told.moves == told.retrainings == []
    assert told.queues == Queues(0, 0, 0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "draw",
    [
        lambda png: draw_stages([], [], {}, png),
        lambda png: draw_stages([_course()], [], {}, png),
        lambda png: draw_stages([_course(CoursePoint(1, None, 0.0))], [_pace(None)], {}, png),
        lambda png: draw_stages([_course(CoursePoint(1, 9.0, 1.0))], [_pace(0.8)], {}, png),
        lambda png: draw_standings([], png),
        lambda png: draw_curve([], [], png),
        lambda png: draw_curve([CurvePoint.of(0.5, [])], [0.5], png),
    ],
)
def test_a_plot_of_little_is_drawn(draw: Callable[[Path], None], tmp_path: Path) -> None:
    draw(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000


def _course(*points: CoursePoint) -> Course:
    unknown = Thirds(None, None, None)
    return Course("none", len(points), 1, 1, 1, 9.0, unknown, unknown, points)


def _pace(quality: float | None) -> TradeOff:
    return TradeOff("none", Reading(9.0, 9.0, 9.0, 1), quality, 1)
