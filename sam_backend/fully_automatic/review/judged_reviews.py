"""Masks that a review has shown: calibration learns from them, and is checked by them."""

from collections.abc import Callable, Iterator

import numpy as np

from sam_backend.datasets.left_out import LeftOut
from sam_backend.errors import InvalidInputError
from sam_backend.fully_automatic.review.judging import CalibrationCheck, LotReport, judge
from sam_backend.fully_automatic.review.samples import read_sample
from sam_backend.fully_automatic.run_folder import BulkRun
from sam_backend.masks.overlap import iou_matrix
from sam_backend.projects.project import client_of_project
from sam_backend.quality.calibration.calibrated_model import CalibratedModel
from sam_backend.quality.calibration.judged_masks import JudgedMask, Traits
from sam_backend.quality.calibration.probability import traits_of
from sam_backend.settings import Settings


def judged_reviews(run: BulkRun, report: LotReport) -> Iterator[JudgedMask]:
    """Masks of a bulk run that a review has shown, against what people have submitted.

    An image's weight is that of its probability to be drawn, on average 1.

    Raises:
        InvalidInputError: A shard is missing or damaged.
    """
    reviewed = {one.sampled.digest: one for one in report.reviewed}
    if not reviewed:
        return
    mean = np.mean([1 / one.sampled.probability for one in reviewed.values()])
    for image in run.images_of(reviewed.keys()):
        one = reviewed[image.digest]
        pairs = one.correction.pairs
        ious = iou_matrix([mask.rle for mask in image.masks], [pair.automatic for pair in pairs])
        for place, pair in enumerate(pairs):
            record = image.masks[int(ious[:, place].argmax())]
            yield JudgedMask(
                image=image.digest,
                traits=Traits.of(record),
                iou=pair.iou,
                weight=float(1 / one.sampled.probability / mean),
                source="review",
                at=one.at,
            )


def read_judged_reviews(
    settings: Settings,
    run: BulkRun,
    model_version: str,
    observe: Callable[[int], None],
    left_out: LeftOut,
) -> list[JudgedMask]:
    """Read what people have submitted of a run's newest sample, and compare its masks with it.

    Args:
        settings: The settings of this process.
        run: Whose sample.
        model_version: Whose masks the run must hold.
        observe: Told how many images have been read.
        left_out: Gets what could not be compared.

    Raises:
        SamBackendError: The run is of another model or has no sample, a shard is missing or
            damaged, or Label Studio refuses a call.
    """
    if run.plan.model_version != model_version:
        raise InvalidInputError(
            f"{run.folder} holds masks of {run.plan.model_version}, not {model_version}"
        )
    sample = read_sample(run)
    with client_of_project(settings, sample.project_id) as client:
        report = judge(client, run, sample, lambda done, of: observe(done))
    left_out.update(report.unread)
    return list(judged_reviews(run, report))


def check_calibration(
    run: BulkRun, report: LotReport, calibrated: CalibratedModel
) -> CalibrationCheck | None:
    """Compare a sample with its calibration; None: no mask has been reviewed.

    Raises:
        InvalidInputError: A shard is missing or damaged.
    """
    judged = list(judged_reviews(run, report))
    if not judged:
        return None
    said = calibrated.calibration.of_many(traits_of(judged))
    weights = [one.weight for one in judged]
    total = sum(weights)
    accepted = [
        one
        for one, sure in zip(judged, said, strict=True)
        if calibrated.accept is not None and sure >= calibrated.accept
    ]
    is_proven = calibrated.accept is not None
    return CalibrationCheck(
        masks=len(judged),
        predicted=float(sum(w * p for w, p in zip(weights, said, strict=True)) / total),
        observed=sum(one.weight for one in judged if one.is_good) / total,
        accepted=len(accepted) if is_proven else None,
        accepted_good=sum(one.is_good for one in accepted) if is_proven else None,
    )
