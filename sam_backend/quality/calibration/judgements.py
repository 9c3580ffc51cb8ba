"""Masks of one model version that people have judged: in prefilled tasks, and on gold."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from sam_backend.datasets.left_out import LeftOut
from sam_backend.labelstudio.api.annotations import AcceptedAnnotation, annotated_tasks
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.predictions import prediction
from sam_backend.labelstudio.regions.drawn_masks import drawn_masks
from sam_backend.masks.overlap import iou_matrix
from sam_backend.masks.rle import RLE
from sam_backend.metrics.corrections import correction
from sam_backend.projects.project import Project
from sam_backend.quality.calibration.judged_masks import JudgedMask, Traits
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.store.gold import GoldImage
from sam_backend.store.proposals import Proposals

SHOWN = ("accept", "review")
"""Ends of the ledger at which people see a mask."""


def judged_prefills(
    project: Project,
    model_version: str,
    observe: Callable[[int], None] = lambda tasks: None,
    left_out: LeftOut | None = None,
) -> Iterator[JudgedMask]:
    """Masks that prefilled tasks have shown, against what people have submitted.

    Only annotations count that were made from the prediction of this version. Of several on a task
    the last one does.

    Args:
        project: The project.
        model_version: Whose masks.
        observe: Told how many tasks have been read.
        left_out: Gets what people have drawn that could not be compared.

    Raises:
        LabelStudioError: A call fails.
    """
    left_out = LeftOut() if left_out is None else left_out
    for number, task in enumerate(annotated_tasks(project.client, project.id), start=1):
        last = max(task.annotations, key=lambda one: one.updated_at)
        shown = project.prefills.masks(project.origin, project.id, task.task_id)
        if shown and _is_of(project.client, last, model_version):
            by_image: dict[str, list[tuple[MaskRecord, float]]] = {}
            for record, more in shown:
                if more["end"] in SHOWN and record.model_version == model_version:
                    weight = 1 / float(more.get("shown_share", 1.0))
                    by_image.setdefault(str(more["image"]), []).append((record, weight))
            where = f"task {task.task_id}, annotation {last.annotation_id}"
            sizes = {name: records[0][0].rle.size for name, records in by_image.items()}
            drawn = drawn_masks(last.result, last.annotator, left_out, where, sizes.get)
            for name, records in by_image.items():
                here = [one.mask.rle for one in drawn if one.image_name == name]
                yield from _against(records, here, last.updated_at)
        observe(number)


def judged_gold(
    gold: Sequence[GoldImage], proposals: Proposals, model_version: str
) -> Iterator[JudgedMask]:
    """Everything that was proposed for trusted images, shown or not, against their best match.

    Args:
        gold: Trusted images.
        proposals: What the model has found in them.
        model_version: Version of the model.
    """
    for image in gold:
        at = image.at or datetime.now(UTC)
        truth = [mask.rle for mask in image.labelled.masks]
        records = [
            record
            for record in proposals.of_image(image.digest, model_version)
            if record.rle.size == image.labelled.size
        ]
        best = iou_matrix([record.rle for record in records], truth).max(axis=1, initial=0.0)
        for record, iou in zip(records, best, strict=True):
            traits = Traits.of(record)
            yield JudgedMask(image.digest, traits, float(iou), 1.0, "gold", at)


def _is_of(client: LabelStudioClient, annotation: AcceptedAnnotation, model_version: str) -> bool:
    if annotation.parent_prediction is None:
        return False
    found = prediction(client, annotation.parent_prediction)
    return found is not None and found.get("model_version") == model_version


def _against(
    records: Sequence[tuple[MaskRecord, float]], drawn: Sequence[RLE], at: datetime
) -> Iterator[JudgedMask]:
    first = records[0][0]
    if first.image_digest is None:
        return
    found = correction(first.image_digest, [record.rle for record, _ in records], drawn)
    for (record, weight), pair in zip(records, found.pairs, strict=True):
        yield JudgedMask(
            image=first.image_digest,
            traits=Traits.of(record),
            iou=pair.iou,
            weight=weight,
            source="prefill",
            at=at,
            mask_weight=weight,
        )
