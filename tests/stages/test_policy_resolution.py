"""What a stage shapes, and what goes before it."""

from dataclasses import fields
from datetime import UTC, datetime

from sam_backend.projects.prefill_settings import PrefillSettings
from sam_backend.settings import Settings
from sam_backend.stages.policy import STAGES, StagePolicy
from sam_backend.stages.policy_resolution import (
    gold_rate,
    policy_of,
    prefills,
    retraining_cadence,
    staged_params,
)
from sam_backend.store.database import Database
from tests.databases import database, settings
from tests.projects.working_project import move, opened

__all__ = ["database", "settings"]


NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_the_stage_shapes_what_nobody_has_set(database: Database, settings: Settings) -> None:
    def now() -> StagePolicy | None:
        return policy_of(opened(database, settings))

    assert now() is None
    assert gold_rate(settings, None) == 5
    assert retraining_cadence(settings, None) is None
    assert prefills(settings, None, {})
    move(database, 1, "1", NOON)
    first = now()
    assert first == STAGES[0]
    assert gold_rate(settings, first) == 10
    assert retraining_cadence(settings, first) == 200
    assert not prefills(settings, first, {})
    assert prefills(settings, first, {"proposer": "grid"}), "the project asks for it"
    move(database, 2, "3", NOON)
    third = now()
    assert third == STAGES[2]
    assert staged_params(settings, third, {}) == {"triage": "proven"}
    own = Settings(
        data_dir=settings.data_dir,
        gold_per_hundred=7,
        retrain_every=9,
        prefill={"triage": "bars", "max_masks": 5},
    )
    assert gold_rate(own, third) == 7
    assert retraining_cadence(own, third) == 9
    params = staged_params(own, third, {"max_masks": 6})
    assert params == {"triage": "bars", "max_masks": 6}
    assert {"triage", "max_masks"} <= {one.name for one in fields(PrefillSettings)}
