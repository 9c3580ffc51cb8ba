"""The calibration that counts now of a model version, and how far it drifts."""

from collections.abc import Sequence
from datetime import datetime

from sam_backend.projects.measured import CalibrationDrift
from sam_backend.projects.project import Project
from sam_backend.quality.calibration.calibrated_model import CalibratedModel
from sam_backend.quality.calibration.fit import is_contradicted, observed_drift
from sam_backend.quality.calibration.judged_masks import JudgedMask
from sam_backend.store.calibrations import Calibrations
from sam_backend.store.database import Database


def current_calibration(database: Database, model_version: str) -> CalibratedModel | None:
    """What is known of a model version; None: nothing."""
    told = Calibrations(database).newest(model_version)
    return None if told is None else CalibratedModel.of(told)


def keep_drift(
    project: Project, calibrated: CalibratedModel, judged: Sequence[JudgedMask], at: datetime
) -> None:
    """Measure how far masks judged since differ from what the calibration says of them.

    Args:
        project: The project, whose measurements keep it.
        calibrated: In use.
        judged: All masks of its model version that are known now.
        at: Now.
    """
    drift = observed_drift(calibrated, judged)
    CalibrationDrift(
        at=at,
        model_version=calibrated.model_version,
        masks=sum(one.at > calibrated.fitted_at for one in judged),
        drift=drift,
        contradicted=drift is not None and is_contradicted(drift),
    ).keep(project.measurements)
