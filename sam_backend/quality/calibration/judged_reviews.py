"""Masks that a review has shown, as calibration learns from them."""

from collections.abc import Iterator

import numpy as np

from sam_backend.fully_automatic.review.judging import LotReport
from sam_backend.fully_automatic.run_folder import BulkRun
from sam_backend.masks.overlap import iou_matrix
from sam_backend.quality.calibration.judged_masks import JudgedMask, Traits


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
