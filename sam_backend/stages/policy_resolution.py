"""How the stage of a project shapes the work: what nobody has set otherwise follows its policy."""

from collections.abc import Mapping
from typing import Any

from sam_backend.projects.prefill_settings import layered
from sam_backend.projects.project import Project
from sam_backend.settings import Settings
from sam_backend.stages.policy import StagePolicy, policies


def policy_of(project: Project) -> StagePolicy | None:
    """Return the policy of the stage that a project is in; None: nobody has put it into one."""
    move = project.stage_moves.current()
    return None if move is None else policies(project.settings.stages)[move.stage]


def gold_rate(settings: Settings, policy: StagePolicy | None) -> float:
    """Planted copies of gold images among a hundred tasks; a setting goes before the stage."""
    if policy is None or "gold_per_hundred" in settings.model_fields_set:
        return settings.gold_per_hundred
    return policy.gold_per_hundred


def retraining_cadence(settings: Settings, policy: StagePolicy | None) -> int | None:
    """New masks until a retraining; a setting goes before the stage. None: only when asked."""
    if settings.retrain_every is not None:
        return settings.retrain_every
    return None if policy is None else policy.retrain_every


def staged_params(
    settings: Settings, policy: StagePolicy | None, params: Mapping[str, Any]
) -> dict[str, Any]:
    """How tasks are prefilled: as the stage says, over it the settings, over them the project."""
    of_stage = {} if policy is None or policy.prefill is None else policy.prefill
    return layered(of_stage, settings.prefill, params)


def prefills(settings: Settings, policy: StagePolicy | None, params: Mapping[str, Any]) -> bool:
    """Whether tasks are prefilled when Label Studio asks for predictions.

    In a stage without prefilling they are where somebody has said how, for the project or for all.
    """
    return policy is None or policy.prefill is not None or bool(params or settings.prefill)
