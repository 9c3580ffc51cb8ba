"""What people did after prefilling: the figures that say whether stage 2 pays."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial

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
from sam_backend.projects.measured import PrefillEdits
from sam_backend.projects.project import Project
from sam_backend.projects.true_sizes import TaskSizes, TrueSizes


def edit_report(
    project: Project,
    observe: Callable[[int], None] = lambda annotations: None,
) -> tuple[PrefillEdits, LeftOut]:
    """Compare every annotation with the prediction that it was made from, and keep the figures.

    Masks count that claim the true size of their image. That is on record where it was prefilled or
    read before; else the image is fetched. An annotation whose image cannot be had is left out.

    Args:
        project: The project.
        observe: Told how many annotations have been compared.

    Returns:
        The figures, and the masks and images that could not be compared, by reason.

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
    total, n = sum(each, Edits()), len(each)
    report = PrefillEdits(
        at=datetime.now(UTC),
        annotations=n,
        annotations_without_a_prediction=n_without,
        **asdict(total),
        lead_time_s=lead_time_s,
        new_masks_per_image=total.added / n if n else None,
        seconds_per_added_mask_at_most=lead_time_s / total.added if total.added else None,
        edits_per_prefilled_mask=(
            (total.edited + total.rejected) / total.predicted if total.predicted else None
        ),
        kept_share=_kept_share(each),
    )
    report.keep(project.measurements)
    return report, unread


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
