"""What people did after prefilling: the figures that say whether stage 2 pays."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np

from sam_backend.datasets import reasons
from sam_backend.datasets.left_out import LeftOut
from sam_backend.errors import ImageDecodeError, ImageFetchError
from sam_backend.labelstudio.api.annotations import AcceptedAnnotation, annotated_tasks
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.predictions import prediction
from sam_backend.labelstudio.config.label_config import images_of
from sam_backend.labelstudio.regions.drawn_masks import drawn_masks
from sam_backend.labelstudio.regions.region import Region
from sam_backend.metrics.intervals import Interval, Scale, ratio_interval
from sam_backend.metrics.prefill_edits import Edits, compare
from sam_backend.projects.project import Project
from sam_backend.projects.true_sizes import TaskSizes, TrueSizes
from sam_backend.store.measurements import EDITS


@dataclass(frozen=True, slots=True)
class EditReport:
    """Figures of a project's annotations that were made from predictions.

    Attributes:
        annotations: So many; without those whose image cannot be had.
        without_prediction: Annotations that began with nothing: not in the figures.
        edits: Summed over the annotations.
        lead_time_s: Time that people spent on them, as Label Studio's editor measured it.
        unread: Masks and images that could not be compared, by reason.
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
        """All lead time, divided by the number of added masks; None where nothing was added.

        An upper bound: looking, mending and rejecting take their part of the time.
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
    project: Project,
    observe: Callable[[int], None] = lambda annotations: None,
) -> EditReport:
    """Compare every annotation with the prediction that it was made from, and keep the figures.

    Masks count that claim the true size of their image. That is on record where it was prefilled or
    read before; else the image is fetched. An annotation whose image cannot be had is left out.

    Args:
        project: The project.
        observe: Told how many annotations have been compared.

    Raises:
        LabelStudioError: A call fails.
    """
    unread = LeftOut()
    each: list[Edits] = []
    n_without, lead_time_s = 0, 0.0
    client = project.client
    images = images_of(str(client.project(project.id).get("label_config", "")))
    true_sizes = TrueSizes(project)
    prefilled = partial(project.prefills.image_sizes, project.origin, project.id)
    for task in annotated_tasks(client, project.id):
        recorded = partial(prefilled, task.task_id)
        sizes = true_sizes.of_task(task.task_id, task.data, images, recorded)
        for annotation in task.annotations:
            begun_with = _begun_with(client, annotation)
            if begun_with is None:
                n_without += 1
                continue
            edits = _compared(begun_with, task.task_id, annotation, sizes, unread)
            if edits is None:
                continue
            each.append(edits)
            lead_time_s += annotation.lead_time_s or 0.0
            observe(len(each))
    report = EditReport(
        len(each), n_without, sum(each, Edits()), lead_time_s, unread, _kept_share(each)
    )
    project.measurements.add(EDITS, report.as_json(), datetime.now(UTC))
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
    begun_with: Sequence[Region],
    task: int,
    annotation: AcceptedAnnotation,
    sizes: TaskSizes,
    unread: LeftOut,
) -> Edits | None:
    """Image by image: masks of different images have nothing in common.

    None where an image with masks cannot be had.
    """
    begun, where = (
        f"prediction of task {task}",
        f"task {task}, annotation {annotation.annotation_id}",
    )
    try:
        before = drawn_masks(begun_with, None, unread, begun, sizes.or_left_out(unread, begun))
        of_person, size_of = annotation.annotator, sizes.or_left_out(unread, where)
        after = drawn_masks(annotation.result, of_person, unread, where, size_of)
    except (ImageFetchError, ImageDecodeError) as error:
        unread.add(reasons.NO_IMAGE, f"{where}: {error}")
        return None
    names = {one.image_name for one in (*before, *after)}
    return sum(
        (
            compare(
                [one.mask for one in before if one.image_name == name],
                [one.mask for one in after if one.image_name == name],
            )
            for name in names
        ),
        Edits(),
    )
