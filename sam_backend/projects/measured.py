"""What is measured of a project and kept for stages, dashboard and alerts: a record a kind.

The database keeps a record as JSON (`store.measurements`). Rows of earlier releases have names with
spaces, such as "gold images", and "too few" where a figure is unknown: `Measured.of` reads both.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self

from pydantic import TypeAdapter, ValidationError

from sam_backend.errors import DatabaseError
from sam_backend.json_form import as_json, current_names
from sam_backend.metrics.corrections import LotShares
from sam_backend.metrics.intervals import Interval
from sam_backend.store.measurements import Measurement, Measurements

_RENAMED = {
    "IoU": "iou_sum",
    "gold images": "images",
    "pairs above 0.90 IoU": "pairs_above_iou_90",
    "pairs above 0.75 IoU": "pairs_above_iou_75",
    "added masks an automatic one": "added_masks_per_automatic_mask",
}
"""Names of earlier releases that are others now, not only written in another way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A measurement of a project.

    Attributes:
        at: When it was measured.
    """

    KIND: ClassVar[str]

    at: datetime

    @classmethod
    def of(cls, row: Measurement) -> Self:
        """Read a row of the database, of this release or an earlier one.

        Raises:
            DatabaseError: The row does not have the form of this kind.
        """
        if cls not in _ADAPTERS:
            _ADAPTERS[cls] = TypeAdapter(cls)
        try:
            document = current_names(row.document, _RENAMED, unknown="too few")
            found: Self = _ADAPTERS[cls].validate_python({**document, "at": row.at})
        except ValidationError as error:
            places = ", ".join(".".join(map(str, one["loc"])) for one in error.errors())
            raise DatabaseError(
                f"the {cls.KIND} measurement of {row.at:%Y-%m-%d %H:%M} cannot be read: {places}"
            ) from error
        return found

    def keep(self, measurements: Measurements) -> None:
        """Add it to the measurements of a project."""
        document = as_json(self)
        del document["at"]
        measurements.add(self.KIND, document, self.at)


_ADAPTERS: dict[type[Measured], TypeAdapter[Any]] = {}
"""Readers by kind: to make one takes longer than to read a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedByGold:
    """The figures of people, one person or one model version against gold.

    A figure is None where it would rest on too little.

    Attributes:
        who: User id, model version, or "people" for all people together.
        images: Number of gold images that were compared.
        objects: Number of trusted masks on them.
        masks: Number of answered masks.
        quality: Panoptic quality, 0 to 1.
        matched_iou: Mean IoU of matched masks.
        boundary_iou: Mean boundary IoU of matched masks.
        missing: Share of the trusted masks that no answer has.
        missing_small: Share of the small trusted masks (under 32² px) that no answer has.
        missing_larger: Share of the other trusted masks that no answer has.
        extra: Share of the answered masks that answer nothing.
        wrong_label: Share of the matched masks with another label.
        log_size_ratio: Mean logarithm of answered over trusted area.
        seconds_per_mask: Time that was spent on a mask; None also of models.
    """

    who: str = "people"
    images: int
    objects: int = 0
    masks: int = 0
    quality: Interval | None = None
    matched_iou: Interval | None = None
    boundary_iou: Interval | None = None
    missing: Interval | None = None
    missing_small: Interval | None = None
    missing_larger: Interval | None = None
    extra: Interval | None = None
    wrong_label: Interval | None = None
    log_size_ratio: Interval | None = None
    seconds_per_mask: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldAnswer:
    """One person's answer to one gold image.

    Attributes:
        at: When it was submitted; None if unknown.
        pairs: Number of matched masks.
        iou_sum: Sum of their IoUs.
        masks: Number of answered masks.
        seconds: Time that was spent on the image; None if unknown.
    """

    at: datetime | None
    pairs: int
    iou_sum: float
    masks: int
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldScores(Measured):
    """People and models against gold: `gold score`, `quality report`, surveys.

    Attributes:
        images: Number of gold images in use.
        people: Figures of all people together; None: nobody has met gold.
        annotators: Figures of each person.
        models: Figures of each model version.
        answers: Answers of people to gold images.
    """

    KIND = "gold"

    images: int = 0
    people: JudgedByGold | None = None
    annotators: tuple[JudgedByGold, ...] = ()
    models: tuple[JudgedByGold, ...] = ()
    answers: tuple[GoldAnswer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefillEdits(Measured):
    """What people did to prefilled masks: `prefill report`, surveys.

    Attributes:
        annotations: Number of annotations that were made from a prediction.
        annotations_without_a_prediction: Number of annotations that began with nothing.
        kept: Number of predicted masks that nobody changed.
        edited: Number of predicted masks that were changed.
        relabelled: Number of the edited masks with another label.
        rejected: Number of predicted masks that are gone.
        added: Number of masks that were not predicted.
        lead_time_s: Time that people spent on the annotations.
        new_masks_per_image: Added masks of an annotation; None without annotations.
        seconds_per_added_mask_at_most: All lead time over the added masks; None without any. It is
            an upper bound: looking, mending and rejecting take their part of the time.
        edits_per_prefilled_mask: Share of the predicted masks that were changed or rejected; None
            without any.
        kept_share: Share of the predicted masks that nobody changed; None: too few annotations.
    """

    KIND = "edits"

    annotations: int
    annotations_without_a_prediction: int = 0
    kept: int = 0
    edited: int = 0
    relabelled: int = 0
    rejected: int = 0
    added: int = 0
    lead_time_s: float = 0.0
    new_masks_per_image: float | None = None
    seconds_per_added_mask_at_most: float | None = None
    edits_per_prefilled_mask: float | None = None
    kept_share: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LotVerdict(Measured):
    """The verdict on a bulk run's sample: `review report`.

    Attributes:
        run: Id of the bulk run.
        review_project: Number of the project in which people reviewed the sample.
        verdict: "accept", "reject" or "continue sampling".
        images: Number of sampled images.
        reviewed: Number of images that people have submitted.
        defective: Number of images with too few right masks.
        shares: Figures of the lot.
    """

    KIND = "lot"

    run: str
    review_project: int
    verdict: str
    images: int = 0
    reviewed: int = 0
    defective: int = 0
    shares: LotShares = field(default_factory=LotShares)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunImport(Measured):
    """A bulk run that was imported into the project: `import`.

    Attributes:
        run: Id of the bulk run.
        tasks_made: Number of tasks that were made.
        images_without_a_task: Number of images that could not be read.
    """

    KIND = "import"

    run: str
    tasks_made: int = 0
    images_without_a_task: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationDrift(Measured):
    """How far masks judged since agree with the calibration: `quality report`, surveys.

    Attributes:
        model_version: Model version that is calibrated.
        masks: Number of masks that were judged since.
        drift: Observed minus predicted share of good masks; None: too few masks.
        contradicted: The interval of the drift is too far from 0.
    """

    KIND = "drift"

    model_version: str
    masks: int = 0
    drift: Interval | None = None
    contradicted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed(Measured):
    """That everything was measured.

    Attributes:
        revision: Number of the last revision that was looked at.
    """

    KIND = "survey"

    revision: int
