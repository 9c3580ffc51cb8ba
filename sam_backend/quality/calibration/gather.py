"""Masks that people have judged, gathered from all projects and gold, and a calibration of them."""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from sam_backend.datasets.left_out import LeftOut
from sam_backend.projects.project import Project
from sam_backend.quality.calibration.calibrated_model import Asked, CalibratedModel
from sam_backend.quality.calibration.fit import calibrate
from sam_backend.quality.calibration.judged_masks import JudgedMask
from sam_backend.quality.calibration.judgements import judged_gold, judged_prefills
from sam_backend.settings import Settings
from sam_backend.store.calibrations import Calibrations
from sam_backend.store.database import Database
from sam_backend.store.gold import Gold
from sam_backend.store.learned_images import learned_by_model
from sam_backend.store.models import open_store
from sam_backend.store.proposals import Proposals

log = logging.getLogger(__name__)


def gather_judged(
    settings: Settings,
    database: Database,
    model_version: str,
    projects: Sequence[Project] = (),
    reviewed: Iterable[JudgedMask] = (),
    with_gold: bool = True,
    observe: Callable[[str, int], None] = lambda what, done: None,
    left_out: LeftOut | None = None,
) -> list[JudgedMask]:
    """All masks of a model version that people have judged, on images that it has not learned from.

    Args:
        settings: The settings of this process.
        database: Knows what was proposed and prefilled, and what is gold.
        model_version: Whose masks.
        projects: Whose prefilled tasks people have submitted.
        reviewed: What the samples of bulk runs have shown of its masks.
        with_gold: Also what was proposed for trusted images.
        observe: Told what is read, and how many tasks or images have been.
        left_out: Gets what could not be compared.

    Raises:
        SamBackendError: Label Studio refuses a call.
    """
    found = list(reviewed)
    for project in projects:
        found += judged_prefills(
            project,
            model_version,
            lambda done, number=project.id: observe(f"project {number}", done),  # type: ignore[misc]
            left_out,
        )
    if with_gold:
        found += judged_gold(Gold(database).images(), Proposals(database), model_version)
    return _unlearned(settings, model_version, found)


def _unlearned(
    settings: Settings, model_version: str, judged: Sequence[JudgedMask]
) -> list[JudgedMask]:
    """Those on images that the model has not learned from: it is better there than elsewhere."""
    learned = learned_by_model(open_store(settings).list(), model_version)
    kept = [one for one in judged if one.image not in learned]
    if len(kept) < len(judged):
        log.warning(
            "%d of %d judged masks are left out: %s has learned from their images",
            len(judged) - len(kept),
            len(judged),
            model_version,
        )
    return kept


def calibrate_model(
    database: Database, model_version: str, judged: Sequence[JudgedMask], asked: Asked
) -> CalibratedModel:
    """Calibrate a model version and prove thresholds; they count from now on.

    Raises:
        InvalidInputError: The judged masks are too few.
    """
    calibrated = calibrate(model_version, judged, asked, datetime.now(UTC))
    Calibrations(database).put(model_version, calibrated.as_json(), calibrated.fitted_at)
    return calibrated
