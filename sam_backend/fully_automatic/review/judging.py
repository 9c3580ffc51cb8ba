"""What people did to a sample's masks, and the verdict on the lot that follows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np

from sam_backend.datasets.left_out import LeftOut
from sam_backend.errors import LabelStudioError
from sam_backend.fully_automatic.review.samples import Sample
from sam_backend.fully_automatic.review.sampling import SampledImage
from sam_backend.fully_automatic.run_folder import BulkRun
from sam_backend.fully_automatic.tasks import DIGEST, RUN
from sam_backend.json_form import as_json
from sam_backend.labelstudio.api.annotations import AcceptedAnnotation, annotated_tasks
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.predictions import predictions_of
from sam_backend.labelstudio.regions.drawn_masks import drawn_masks
from sam_backend.labelstudio.regions.region import Region
from sam_backend.masks.rle import RLE
from sam_backend.metrics.acceptance import Verdict
from sam_backend.metrics.corrections import Correction, LotShares, correction, lot_shares
from sam_backend.projects.measured import LotVerdict
from sam_backend.store.lots import LOOKED, REOPENED, SAMPLED, LotRecord

PAPER = {"pairs_above_iou_90": 0.94, "pairs_above_iou_75": 0.97}
"""arXiv 2304.02643, section 5: of 500 sampled images with some 50,000 masks."""


@dataclass(frozen=True, slots=True)
class CalibrationCheck:
    """Calibrated confidence beside what people found.

    Attributes:
        masks: Number of masks reviewed.
        predicted: Share of them that need no correction, as the calibration predicts it.
        observed: Share of them that needed none.
        accepted: Masks above the proven accept threshold; None: nothing is proven.
        accepted_good: Number of these that needed no correction.
    """

    masks: int
    predicted: float
    observed: float
    accepted: int | None
    accepted_good: int | None


@dataclass(frozen=True, slots=True)
class Stratum:
    """The sampled images of one stratum.

    Attributes:
        sampled: Number of images that were drawn.
        reviewed: Number of these that people have submitted.
        defective: Number of these with too few right masks.
        right_masks: Mean share of right masks of an image; None: nothing is reviewed.
        failed: More images are defective than the plan allows.
    """

    sampled: int
    reviewed: int
    defective: int
    right_masks: float | None
    failed: bool


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
        counted: Defective images among those that decide.
        unseen: Images that decide and that nobody has submitted yet.
        defect_estimate: Share of defective images of the lot.
        defect_high: The most that it can be, with the plan's confidence at all looks together.
        look: What the sample says as it stands.
        verdict: On the lot: what the sample says, unless the lot was rejected before.
        history: Samples and looks so far, oldest first.
        calibration_check: What calibrated confidence predicted, and people found; None: there is
            no calibration.
    """

    sample: Sample
    reviewed: tuple[Reviewed, ...]
    unread: LeftOut
    shares: LotShares
    defective: tuple[str, ...]
    counted: int
    unseen: int
    defect_estimate: float | None
    defect_high: float
    look: Verdict
    verdict: Verdict
    history: tuple[LotRecord, ...] = ()
    calibration_check: CalibrationCheck | None = None

    @property
    def settling_size(self) -> int:
        """Images that decide with which the lot is accepted if no further one is defective.

        0 once the lot is decided.
        """
        if self.verdict is not Verdict.CONTINUE:
            return 0
        test = self.sample.plan.for_lot(self.sample.n_lot)
        return max(test.images_needed(self.counted), len(self.sample.deciding))

    @property
    def more_clean_images(self) -> int:
        """Further images without a defect that would prove the plan; 0 once it is decided."""
        return max(self.settling_size - (len(self.sample.deciding) - self.unseen), 0)

    @property
    def acceptance(self) -> tuple[int, ...]:
        """After how many images the lot is accepted with 0, 1, 2, … defective ones among them."""
        return self.sample.plan.for_lot(self.sample.n_lot).accepting_sizes(self.counted + 2)

    @property
    def n_masks(self) -> int:
        """Number of masks that people were shown."""
        return sum(len(one.correction.pairs) for one in self.reviewed)

    @property
    def n_deleted(self) -> int:
        """Number of these that they deleted."""
        return sum(one.correction.n_deleted for one in self.reviewed)

    @property
    def n_added(self) -> int:
        """Number of masks that they added."""
        return sum(len(one.correction.added) for one in self.reviewed)

    @property
    def n_changed(self) -> int:
        """Number of masks whose pixels they changed."""
        return sum(pair.iou < 1 for one in self.reviewed for pair in one.correction.matched)

    @property
    def no_longer_defective(self) -> list[str]:
        """Images that an earlier look counted as defective, and this one does not, by digest."""
        before: set[str] = set()
        for record in self.history:
            if record.kind == REOPENED:
                before = set()
            elif record.kind == LOOKED:
                before |= set(record.document["defective"])
        return sorted(before - set(self.defective))

    def strata(self) -> dict[str, Stratum]:
        """Return the strata by name."""
        found: dict[str, Stratum] = {}
        for name in sorted({image.stratum for image in self.sample.images}):
            inside = [one for one in self.reviewed if one.sampled.stratum == name]
            rights = [one.correction.right_share(self.sample.plan.iou) for one in inside]
            n_defective = sum(one.correction.digest in self.defective for one in inside)
            found[name] = Stratum(
                sampled=sum(image.stratum == name for image in self.sample.images),
                reviewed=len(inside),
                defective=n_defective,
                right_masks=float(np.mean(rights)) if rights else None,
                failed=bool(inside) and n_defective / len(inside) > self.sample.plan.max_defects,
            )
        return found

    def looked(self) -> dict[str, Any]:
        """What the lot's log keeps of a look."""
        return {
            "sample": self.sample.name,
            "project": self.sample.project_id,
            "images_that_decide": len(self.sample.deciding),
            "of_them_reviewed": len(self.sample.deciding) - self.unseen,
            "of_them_defective": self.counted,
            "defective": list(self.defective),
        }

    def measured(self, at: datetime) -> LotVerdict:
        """Return what is kept of it, as measured at this time."""
        return LotVerdict(
            at=at,
            run=self.sample.run_id,
            review_project=self.sample.project_id,
            verdict=self.verdict.value,
            images=len(self.sample.images),
            reviewed=len(self.reviewed),
            defective=len(self.defective),
            shares=self.shares,
        )

    def as_json(self) -> dict[str, Any]:
        """All figures, for people and scripts."""
        return {
            "verdict": str(self.verdict),
            "this_look_alone": str(self.look),
            "run": self.sample.run_id,
            "sample": self.sample.name,
            "plan": self.sample.plan.as_json(),
            "images_of_the_lot": self.sample.n_lot,
            "images_sampled": len(self.sample.images),
            "images_that_decide": len(self.sample.deciding),
            "images_reviewed": len(self.reviewed),
            "defective_images": len(self.defective),
            "defective_images_that_decide": self.counted,
            "defective_images_estimated_share": self.defect_estimate,
            "defective_images_at_most": self.defect_high,
            "accepted_after_images": self.acceptance,
            "clean_images_that_would_settle_it": self.more_clean_images,
            "no_longer_defective": self.no_longer_defective,
            "masks_shown": self.n_masks,
            "deleted": self.n_deleted,
            "added": self.n_added,
            "changed": self.n_changed,
            "shares": as_json(self.shares),
            "paper": PAPER,
            "strata": as_json(self.strata()),
            "calibration_check": as_json(self.calibration_check),
            "unread": self.unread.as_json(),
            "history": [
                {"kind": one.kind, "at": one.at.isoformat()} | one.document for one in self.history
            ],
            "images": [
                {
                    "digest": one.correction.digest,
                    "stratum": one.sampled.stratum,
                    "probability": one.sampled.probability,
                    "masks": len(one.correction.pairs),
                    "deleted": one.correction.n_deleted,
                    "added": len(one.correction.added),
                    "right_masks": one.correction.right_share(self.sample.plan.iou),
                    "is_defective": one.correction.digest in self.defective,
                }
                for one in self.reviewed
            ],
        }


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A line of a lot's history, as people read it.

    Attributes:
        at: When it happened, for the first time if several times in a row.
        times: How often in a row.
        what: Sampled, looked at, reopened or quarantined.
        found: Numbers or a reason.
        verdict: That stood after it; "" where it changed none.
    """

    at: str
    times: str
    what: str
    found: str
    verdict: str


def history_rows(report: LotReport) -> list[HistoryRow]:
    """The lot's history, oldest first; looks that found the same in a row are one line."""
    found: list[HistoryRow] = []
    for _, same in groupby(report.history, key=lambda one: (one.kind, one.document)):
        first, *others = same
        document = first.document
        if first.kind == LOOKED:
            text = (
                f"{document['of_them_defective']} defective of {document['of_them_reviewed']} "
                f"reviewed of {document['images_that_decide']}"
            )
        elif first.kind == SAMPLED:
            text = f"{document['images_that_decide']} images decide, {document['images']} in all"
        elif first.kind == REOPENED:
            text = str(document["reason"])
        else:
            text = f"{document['predictions']} predictions of project {document['project']}"
            text += f": {document['anyway']}" if document["anyway"] else ""
        at = first.at.strftime("%Y-%m-%d %H:%M")
        verdict = str(document.get("verdict") or "") if first.kind == LOOKED else ""
        found.append(HistoryRow(at, str(1 + len(others)), first.kind, text, verdict))
    return found


def judge(
    client: LabelStudioClient,
    run: BulkRun,
    sample: Sample,
    observe: Callable[[int, int], None] = lambda done, of: None,
) -> LotReport:
    """Read what people have submitted of a sample, and judge the lot.

    Masks count that claim the size which their image had when the run read it.

    Args:
        client: Client of the review project's Label Studio.
        run: The lot.
        sample: What was drawn.
        observe: Told how many images of how many have been read.

    Raises:
        LabelStudioError: A call fails.
    """
    by_digest = {image.digest: image for image in sample.images}
    sizes = run.manifest.sizes(by_digest.keys())
    unread = LeftOut()
    reviewed: dict[str, Reviewed] = {}
    for task in annotated_tasks(client, sample.project_id):
        digest = str(task.data.get(DIGEST))
        if task.data.get(RUN) != sample.run_id or digest not in by_digest:
            continue
        last = max(task.annotations, key=lambda one: one.updated_at)
        shown = _shown(client, task.task_id, last)
        where = f"task {task.task_id}, annotation {last.annotation_id}"
        size = sizes[digest]
        found = correction(
            digest,
            _masks(shown, size, unread, f"prediction of task {task.task_id}"),
            _masks(last.result, size, unread, where),
        )
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
    share = float((weights * is_defective).sum() / weights.sum()) if len(told) else None
    decides = np.array([one.sampled.decides for one in told], np.bool_)
    counted, n_deciding = int(is_defective[decides].sum()), len(sample.deciding)
    unseen = n_deciding - int(decides.sum())
    test = plan.for_lot(sample.n_lot)
    look = test.verdict(counted, n_deciding, unseen)
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
        counted=counted,
        unseen=unseen,
        defect_estimate=share,
        defect_high=test.proven_share(counted, n_deciding, unseen),
        look=look,
        verdict=look,
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


def _masks(
    result: Sequence[Region], size: tuple[int, int], unread: LeftOut, where: str
) -> list[RLE]:
    """Return the masks of a review task's regions; such a task has one image, of `size`."""
    return [one.mask.rle for one in drawn_masks(result, None, unread, where, lambda name: size)]
