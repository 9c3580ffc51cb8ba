"""How far the model that is served may be trusted, as it was established last."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sam_backend.projects.project import Project
from sam_backend.quality.calibration.fit import is_contradicted, observed_drift
from sam_backend.quality.calibration.judged_masks import JudgedMask
from sam_backend.quality.calibration.trust import Trust
from sam_backend.store.database import Database
from sam_backend.store.measurements import DRIFT
from sam_backend.store.trusts import Trusts


def trust_of(database: Database, model_version: str) -> Trust | None:
    """What is known of a model version; None: nothing."""
    told = Trusts(database).newest(model_version)
    return None if told is None else Trust.of(told)


def keep_drift(project: Project, trust: Trust, judged: Sequence[JudgedMask], at: datetime) -> None:
    """Measure how far masks judged since differ from what the calibration says of them.

    Args:
        project: The project, whose measurements keep it.
        trust: In use.
        judged: All masks of its model version that are known now.
        at: Now.
    """
    drift = observed_drift(trust, judged)
    document = {
        "model_version": trust.model_version,
        "masks": sum(one.at > trust.fitted_at for one in judged),
        "drift": None if drift is None else asdict(drift),
        "contradicted": drift is not None and is_contradicted(drift),
    }
    project.measurements.add(DRIFT, document, at)
