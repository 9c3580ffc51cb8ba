"""What calibrated confidence has said of a lot's masks, beside what people found."""

from sam_backend.fully_automatic.review.judged_reviews import judged_reviews
from sam_backend.fully_automatic.review.judging import Foretold, LotReport
from sam_backend.fully_automatic.run_folder import BulkRun
from sam_backend.quality.calibration.probability import traits_of
from sam_backend.quality.calibration.trust import Trust


def foretold(run: BulkRun, report: LotReport, trust: Trust) -> Foretold | None:
    """Compare a sample with its calibration; None: no mask has been reviewed.

    Raises:
        InvalidInputError: A shard is missing or damaged.
    """
    judged = list(judged_reviews(run, report))
    if not judged:
        return None
    said = trust.calibration.of_many(traits_of(judged))
    weights = [one.weight for one in judged]
    total = sum(weights)
    accepted = [
        one
        for one, sure in zip(judged, said, strict=True)
        if trust.accept is not None and sure >= trust.accept
    ]
    is_proven = trust.accept is not None
    return Foretold(
        masks=len(judged),
        said=float(sum(w * p for w, p in zip(weights, said, strict=True)) / total),
        came_true=sum(one.weight for one in judged if one.is_good) / total,
        accepted=len(accepted) if is_proven else None,
        accepted_good=sum(one.is_good for one in accepted) if is_proven else None,
    )
