"""What people did after prefilling: the figures that say whether stage 2 pays."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from sam_backend.datasets.left_out import LeftOut
from sam_backend.engine.measured import EDITS
from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.annotations import AcceptedAnnotation, annotated_tasks
from sam_backend.labelstudio.client import LabelStudioClient
from sam_backend.labelstudio.drawn_masks import agreed_sizes, drawn_masks
from sam_backend.labelstudio.predictions import prediction
from sam_backend.labelstudio.regions import Region
from sam_backend.quality.intervals import Interval, Scale, ratio_interval
from sam_backend.quality.prefill_edits import Edits, compare
from sam_backend.store.database import Database
from sam_backend.store.measurements import Measurements


@dataclass(frozen=True, slots=True)
class EditReport:
    """Figures of a project's annotations that were made from predictions.

    Attributes:
        annotations: So many.
        without_prediction: Annotations that began with nothing: not in the figures.
        edits: Summed over the annotations.
        lead_time_s: Time that people spent on them, as Label Studio's editor measured it.
        unread: Masks that could not be compared, by reason.
        kept_share: Of the prefilled masks that nobody had to change; None: too few annotations.
    """

    annotations: int
    without_prediction: int
    edits: Edits
    lead_time_s: float
    unread: LeftOut
    kept_share: Interval | None = None

    @property
    def new_masks_an_image(self) -> float | None:
        """Masks that people added after prefilling; None without annotations."""
        return self.edits.added / self.annotations if self.annotations else None

    @property
    def seconds_an_added_mask(self) -> float | None:
        """All lead time over what was added: an upper bound, for looking, mending and rejecting
        take their part of it; None where nothing was added.
        """
        return self.lead_time_s / self.edits.added if self.edits.added else None

    @property
    def edits_a_prefilled_mask(self) -> float | None:
        """Share of the prefilled masks that people changed or rejected; None without any."""
        predicted = self.edits.predicted
        return (self.edits.edited + self.edits.rejected) / predicted if predicted else None

    def as_json(self) -> dict[str, Any]:
        """All figures by name."""
        return {
            "annotations": self.annotations,
            "annotations without a prediction": self.without_prediction,
            **asdict(self.edits),
            "lead_time_s": self.lead_time_s,
            "new masks an image": self.new_masks_an_image,
            "seconds an added mask, at most": self.seconds_an_added_mask,
            "edits a prefilled mask": self.edits_a_prefilled_mask,
            "kept share": None if self.kept_share is None else asdict(self.kept_share),
            "unread": dict(self.unread),
            "unread, which": self.unread.as_json(),
        }


def edit_report(
    database: Database,
    client: LabelStudioClient,
    project_id: int,
    observe: Callable[[int], None] = lambda annotations: None,
) -> EditReport:
    """Compare every annotation with the prediction that it was made from, and keep the figures.

    Args:
        database: Keeps them.
        client: API client of the project's Label Studio.
        project_id: The project.
        observe: Told how many annotations have been compared.

    Raises:
        LabelStudioError: A call fails.
    """
    unread = LeftOut()
    each: list[Edits] = []
    n_without, lead_time_s = 0, 0.0
    for task in annotated_tasks(client, project_id):
        for annotation in task.annotations:
            begun_with = _begun_with(client, annotation)
            if begun_with is None:
                n_without += 1
                continue
            each.append(_compared(begun_with, task.task_id, annotation, unread))
            lead_time_s += annotation.lead_time_s or 0.0
            observe(len(each))
    report = EditReport(
        len(each), n_without, sum(each, Edits()), lead_time_s, unread, _kept_share(each)
    )
    measurements = Measurements(database, client.host.url, project_id)
    measurements.add(EDITS, report.as_json(), datetime.now(UTC))
    return report


def _kept_share(each: Sequence[Edits]) -> Interval | None:
    """Over annotations: masks of one picture are no independent witnesses."""
    kept, predicted = (
        np.array([getattr(one, name) for one in each], np.float64) for name in ("kept", "predicted")
    )
    return ratio_interval(kept, predicted, Scale.SHARE)


def _begun_with(
    client: LabelStudioClient, annotation: AcceptedAnnotation
) -> Sequence[Region] | None:
    if annotation.parent_prediction is None:
        return None
    found = prediction(client, annotation.parent_prediction)
    return None if found is None else found["result"]


def _compared(
    begun_with: Sequence[Region], task: int, annotation: AcceptedAnnotation, unread: LeftOut
) -> Edits:
    """Image by image: masks of different images have nothing in common."""
    where = f"task {task}, annotation {annotation.annotation_id}"
    size_of = agreed_sizes(begun_with, annotation.result).get
    before = drawn_masks(begun_with, None, unread, f"prediction of task {task}", size_of)
    after = drawn_masks(annotation.result, annotation.annotator, unread, where, size_of)
    edits = Edits()
    for name in {one.image_name for one in (*before, *after)}:
        try:
            edits += compare(
                [one.mask for one in before if one.image_name == name],
                [one.mask for one in after if one.image_name == name],
            )
        except InvalidInputError as error:
            unread.add("masks of different sizes", f"{where}: {error}")
    return edits
