"""What people did to a sample's masks, and the verdict on the lot that follows."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np

from sam_backend.datasets.left_out import LeftOut
from sam_backend.engine.bulk.review.samples import Sample
from sam_backend.engine.bulk.review.sampling import SampledImage
from sam_backend.engine.bulk.tasks import DIGEST, RUN
from sam_backend.errors import InvalidInputError, LabelStudioError
from sam_backend.labelstudio.annotations import AcceptedAnnotation, annotated_tasks
from sam_backend.labelstudio.client import LabelStudioClient
from sam_backend.labelstudio.drawn_masks import drawn_masks
from sam_backend.labelstudio.predictions import predictions_of
from sam_backend.labelstudio.regions import Region
from sam_backend.masks.rle import RLE
from sam_backend.quality.acceptance import Verdict, defect_bounds
from sam_backend.quality.corrections import Correction, correction, effective_size, lot_shares
from sam_backend.quality.intervals import Interval

PAPER = {"pairs above 0.90 IoU": 0.94, "pairs above 0.75 IoU": 0.97}
"""arXiv 2304.02643, section 5: of 500 sampled images with some 50,000 masks."""


@dataclass(frozen=True, slots=True)
class Foretold:
    """Calibrated confidence beside what people found.

    Attributes:
        masks: That were reviewed.
        said: Share of them that would need no correction, as it was said.
        came_true: As it was.
        accepted: Masks above the proven accept threshold; None: nothing is proven.
        accepted_good: Of these, those that needed no correction.
    """

    masks: int
    said: float
    came_true: float
    accepted: int | None
    accepted_good: int | None

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Reviewed:
    """A sampled image that a person has submitted.

    Attributes:
        sampled: How it was drawn.
        correction: What the person changed.
        at: When it was submitted.
    """

    sampled: SampledImage
    correction: Correction
    at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class LotReport:
    """A sample as it stands.

    Attributes:
        sample: What was drawn.
        reviewed: Images that people have submitted.
        unread: Masks that could not be compared, by reason.
        shares: Figures of the lot with their intervals.
        defective: Images with too few right masks, by digest.
        effective_images: Reviewed images, fewer where they were drawn with uneven probabilities.
        defect_estimate: Share of defective images of the lot.
        defect_high: Its upper bound.
        verdict: On the lot.
        foretold: What calibrated confidence had said of the masks; None: there is no calibration.
    """

    sample: Sample
    reviewed: tuple[Reviewed, ...]
    unread: LeftOut
    shares: dict[str, Interval | None]
    defective: tuple[str, ...]
    effective_images: float
    defect_estimate: float | None
    defect_high: float
    verdict: Verdict
    foretold: Foretold | None = None

    @property
    def more_clean_images(self) -> int:
        """Further images without a defect that would prove the plan; 0 once it is decided."""
        if self.verdict is not Verdict.CONTINUE:
            return 0
        plan, n = self.sample.plan, len(self.reviewed)
        missing = len(self.sample.images) - n
        if not n:
            return max(missing, plan.clean_images)
        # further images count as much as those before: their weights are as uneven
        worth = self.effective_images / n
        defective = (self.defect_estimate or 0.0) * self.effective_images
        while plan.verdict(defective, worth * (n + missing)) is not Verdict.ACCEPT:
            missing += 1
        return missing

    def strata(self) -> dict[str, dict[str, Any]]:
        """Images reviewed and defective, and right masks, of each stratum."""
        found: dict[str, dict[str, Any]] = {}
        for name in sorted({image.stratum for image in self.sample.images}):
            inside = [one for one in self.reviewed if one.sampled.stratum == name]
            rights = [one.correction.right_share(self.sample.plan.iou) for one in inside]
            n_defective = sum(one.correction.digest in self.defective for one in inside)
            found[name] = {
                "sampled": sum(image.stratum == name for image in self.sample.images),
                "reviewed": len(inside),
                "defective": n_defective,
                "right masks": float(np.mean(rights)) if rights else None,
                "failed": bool(inside) and n_defective / len(inside) > self.sample.plan.max_defects,
            }
        return found

    def measured(self) -> dict[str, Any]:
        """What is kept of it."""
        return {
            "verdict": self.verdict.value,
            "images": len(self.sample.images),
            "reviewed": len(self.reviewed),
            "defective": len(self.defective),
            "shares": {k: None if v is None else asdict(v) for k, v in self.shares.items()},
        }

    def as_json(self) -> dict[str, Any]:
        """All figures, for people and scripts."""
        return {
            "verdict": str(self.verdict),
            "run": self.sample.run_id,
            "sample": self.sample.name,
            "plan": self.sample.plan.as_json(),
            "images of the lot": self.sample.n_lot,
            "images sampled": len(self.sample.images),
            "images reviewed": len(self.reviewed),
            "images reviewed, effectively": self.effective_images,
            "defective images": len(self.defective),
            "defective images, estimated share": self.defect_estimate,
            "defective images, at most": self.defect_high,
            "clean images that would settle it": self.more_clean_images,
            "masks shown": sum(len(one.correction.pairs) for one in self.reviewed),
            "deleted": sum(one.correction.n_deleted for one in self.reviewed),
            "added": sum(len(one.correction.added) for one in self.reviewed),
            "changed": sum(
                pair.iou < 1 for one in self.reviewed for pair in one.correction.matched
            ),
            "shares": {
                name: None if found is None else asdict(found)
                for name, found in self.shares.items()
            },
            "paper": PAPER,
            "strata": self.strata(),
            "foretold": None if self.foretold is None else self.foretold.as_json(),
            "unread": dict(self.unread),
            "unread, which": self.unread.as_json(),
            "images": [
                {
                    "digest": one.correction.digest,
                    "stratum": one.sampled.stratum,
                    "probability": one.sampled.probability,
                    "masks": len(one.correction.pairs),
                    "deleted": one.correction.n_deleted,
                    "added": len(one.correction.added),
                    "right masks": one.correction.right_share(self.sample.plan.iou),
                    "is defective": one.correction.digest in self.defective,
                }
                for one in self.reviewed
            ],
        }


def judge(
    client: LabelStudioClient,
    sample: Sample,
    observe: Callable[[int, int], None] = lambda done, of: None,
) -> LotReport:
    """Read what people have submitted of a sample, and judge the lot.

    Args:
        client: Of the review project's Label Studio.
        sample: What was drawn.
        observe: Told how many images of how many have been read.

    Raises:
        LabelStudioError: A call fails.
    """
    by_digest = {image.digest: image for image in sample.images}
    unread = LeftOut()
    reviewed: dict[str, Reviewed] = {}
    for task in annotated_tasks(client, sample.project_id):
        digest = str(task.data.get(DIGEST))
        if task.data.get(RUN) != sample.run_id or digest not in by_digest:
            continue
        last = max(task.annotations, key=lambda one: one.updated_at)
        shown = _shown(client, task.task_id, last)
        where = f"task {task.task_id}, annotation {last.annotation_id}"
        try:
            found = correction(
                digest,
                _masks(shown, unread, f"prediction of task {task.task_id}"),
                _masks(last.result, unread, where),
            )
        except InvalidInputError as error:
            unread.add("masks of different sizes", f"{where}: {error}")
            continue
        reviewed[digest] = Reviewed(by_digest[digest], found, last.updated_at)
        observe(len(reviewed), len(by_digest))
    return report_of(sample, list(reviewed.values()), unread)


def report_of(sample: Sample, reviewed: Sequence[Reviewed], unread: LeftOut) -> LotReport:
    """The figures and the verdict, of images in the sample's order."""
    order = {image.digest: number for number, image in enumerate(sample.images)}
    told = sorted(reviewed, key=lambda one: order[one.sampled.digest])
    plan = sample.plan
    weights = np.array([1 / one.sampled.probability for one in told], np.float64)
    is_defective = np.array(
        [one.correction.right_share(plan.iou) < plan.min_share for one in told], np.float64
    )
    n_effective = effective_size(weights)
    share = float((weights * is_defective).sum() / weights.sum()) if len(told) else None
    n_defective = (share or 0.0) * n_effective
    return LotReport(
        sample=sample,
        reviewed=tuple(told),
        unread=unread,
        shares=lot_shares(
            [one.correction for one in told], weights, [one.sampled.stratum for one in told]
        ),
        defective=tuple(
            one.correction.digest for one, bad in zip(told, is_defective, strict=True) if bad
        ),
        effective_images=n_effective,
        defect_estimate=share,
        defect_high=defect_bounds(n_defective, n_effective, plan.confidence)[1],
        verdict=plan.verdict(n_defective, n_effective, len(told) == len(sample.images)),
    )


def _shown(
    client: LabelStudioClient, task_id: int, annotation: AcceptedAnnotation
) -> Sequence[Region]:
    """The prediction that an annotation began with; the task's only one where it does not say."""
    predictions = predictions_of(client, task_id)
    for one in predictions:
        if one["id"] == annotation.parent_prediction:
            return list(one["result"])
    if len(predictions) > 1:
        raise LabelStudioError(
            f"task {task_id} has {len(predictions)} predictions, and its annotation "
            f"{annotation.annotation_id} does not say which it began with"
        )
    return list(predictions[0]["result"]) if predictions else []


def _masks(result: Sequence[Region], unread: LeftOut, where: str) -> list[RLE]:
    return [one.mask.rle for one in drawn_masks(result, None, unread, where)]
