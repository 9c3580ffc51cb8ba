"""Calibrates a model version, and tells when its calibration is out of date.

Images are divided by their digest: the calibration is fitted to a third of them; the others
validate it and prove thresholds, for a mask that the fit has seen proves nothing.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from sam_backend.errors import InvalidInputError
from sam_backend.metrics.intervals import Interval, Scale, ratio_interval
from sam_backend.quality.calibration.calibrated_model import (
    PROVEN_OTHERWISE,
    Asked,
    CalibratedModel,
)
from sam_backend.quality.calibration.fitting import fit, reliabilities
from sam_backend.quality.calibration.judged_masks import JudgedMask
from sam_backend.quality.calibration.probability import traits_of
from sam_backend.quality.calibration.risk_control import (
    ScoredMasks,
    accept_threshold,
    discard_threshold,
    more_images_needed,
)

FIT_EVERY = 3
"""One image in three is of the fit split, the rest of the validation split."""
MAX_AGE = timedelta(days=90)
MAX_DRIFT = 0.05
"""Of the share of good masks from what was said, before a calibration is stale."""


def calibrate(
    model_version: str, judged: Sequence[JudgedMask], asked: Asked, now: datetime
) -> CalibratedModel:
    """Fit a calibration and prove thresholds.

    Args:
        model_version: Whose masks they are.
        judged: They; drawn whatever their worth.
        asked: What thresholds have to prove.
        now: The time.

    Raises:
        InvalidInputError: They are too few, or what is asked is out of its range.
    """
    calibration = fit([one for one in judged if _is_fitted(one)])
    validation = [one for one in judged if not _is_fitted(one)]
    if not validation:
        raise InvalidInputError(
            "all judged masks are on images that the calibration is fitted to: none is left to "
            "validate it; judge masks on more images"
        )
    before, after = reliabilities(calibration, validation)
    known = _scored(validation, calibration.of_many(traits_of(validation)))
    accept = accept_threshold(known, asked.min_precision, asked.confidence)
    return CalibratedModel(
        model_version=model_version,
        fitted_at=now,
        masks=len(judged),
        images=len({one.image for one in judged}),
        sources=dict(Counter(one.source for one in judged)),
        calibration=calibration,
        before=before,
        after=after,
        asked=asked,
        accept=accept,
        discard=discard_threshold(known, asked.max_lost, asked.confidence),
        is_over_images=True,
        accepted=None if accept is None else _share_of_good(validation, known.scores >= accept),
        more_images=_with_fit_split(
            more_images_needed(known, asked.min_precision, asked.confidence)
        ),
    )


def stale_reasons(
    calibrated: CalibratedModel, judged: Sequence[JudgedMask], now: datetime
) -> list[str]:
    """Why a calibration should be made anew; none: it holds.

    Args:
        calibrated: In use.
        judged: All masks of its model version that are known now.
        now: The time.
    """
    reasons = [] if calibrated.is_over_images else [PROVEN_OTHERWISE]
    age = now - calibrated.fitted_at
    if age > MAX_AGE:
        reasons.append(f"it is {age.days} days old")
    if len(judged) >= 2 * calibrated.masks:
        reasons.append(f"{len(judged)} masks are judged by now, and it rests on {calibrated.masks}")
    drift = observed_drift(calibrated, judged)
    if drift is not None and is_contradicted(drift):
        later = sum(one.at > calibrated.fitted_at for one in judged)
        reasons.append(
            f"of {later} masks judged since, the share that needs no correction differs by "
            f"{drift.value:+.2f} from what it says ({drift.low:+.2f} to {drift.high:+.2f})"
        )
    return reasons


def is_contradicted(drift: Interval) -> bool:
    """Whether a drift is proven to be larger than `MAX_DRIFT`."""
    return drift.low > MAX_DRIFT or drift.high < -MAX_DRIFT


def observed_drift(calibrated: CalibratedModel, judged: Sequence[JudgedMask]) -> Interval | None:
    """How much more of the masks judged since need no correction than the calibration says.

    Args:
        calibrated: In use.
        judged: All masks of its model version; those before it do not count.

    Returns:
        Difference of shares, -1 to 1; None: too few.
    """
    later = [one for one in judged if one.at > calibrated.fitted_at]
    if not later:
        return None
    said = calibrated.calibration.of_many(traits_of(later))
    _, images = np.unique([one.image for one in later], return_inverse=True)
    weights = np.array([one.weight for one in later])
    gaps = np.array([one.is_good for one in later]) - said
    parts, wholes = (
        np.bincount(images, weights * column).astype(np.float64)
        for column in (gaps, np.ones(len(said)))
    )
    return ratio_interval(parts, wholes, Scale.REAL)


def _share_of_good(
    judged: Sequence[JudgedMask], is_counted: npt.NDArray[np.bool_]
) -> Interval | None:
    """Of the counted masks of all images together those that need no correction."""
    counted = [one for one, counts in zip(judged, is_counted, strict=True) if counts]
    _, images = np.unique([one.image for one in counted], return_inverse=True)
    weights = np.array([one.weight for one in counted])
    is_good = np.array([one.is_good for one in counted])
    parts, wholes = (
        np.bincount(images, column).astype(np.float64) for column in (weights * is_good, weights)
    )
    return ratio_interval(parts, wholes, Scale.SHARE)


def _is_fitted(one: JudgedMask) -> bool:
    return int(one.image[-8:], 16) % FIT_EVERY == 0


def _with_fit_split(n_validation: int | None) -> int | None:
    """Number of images of which so many are in the validation split."""
    return None if n_validation is None else -(-n_validation * FIT_EVERY // (FIT_EVERY - 1))


def _scored(told: Sequence[JudgedMask], scores: npt.NDArray[np.float64]) -> ScoredMasks:
    """Judged masks with their scores, in one order."""
    _, images = np.unique([one.image for one in told], return_inverse=True)
    return ScoredMasks(
        scores=scores,
        is_good=np.array([one.is_good for one in told], np.bool_),
        images=images.astype(np.int64),
        weights=np.array([one.mask_weight for one in told], np.float64),
        image_weights=np.array([one.weight / one.mask_weight for one in told], np.float64),
    )
