"""COCO's mask AP and AR of answers against trusted masks, by faster-coco-eval.

AP: precision averaged over recall, IoU thresholds 0.50 to 0.95 and labels; AR: recall with at most
100 masks of a label on an image, averaged likewise (cocodataset.org, "Detection evaluation").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from sam_backend.datasets.types import LabelledMask
from sam_backend.masks.rle import to_coco

_AP, _AR = 0, 8  # places in `COCOeval.stats`


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """Two shares, 0 to 1.

    Attributes:
        ap: Mean average precision.
        ar: Mean average recall.
        by_label: The same of each label of the trusted masks.
    """

    ap: float
    ar: float
    by_label: Mapping[str | None, "AveragePrecision"] = field(default_factory=dict)


def average_precision(
    truth: Sequence[Sequence[LabelledMask]],
    found: Sequence[Sequence[LabelledMask]],
    scores: Sequence[Sequence[float] | None],
) -> AveragePrecision | None:
    """AP and AR over some images.

    Args:
        truth: Trusted masks, image by image.
        found: Masks to judge, likewise.
        scores: How sure each of them is; None for an image whose masks are all equally sure, as a
            person's are: they count in the order in which they were drawn.

    Returns:
        None where there is no trusted mask.
    """
    if not any(truth):
        return None
    labels = {mask.label for masks in (*truth, *found) for mask in masks}
    categories = {label: number for number, label in enumerate(sorted(labels, key=str), start=1)}
    images: list[dict[str, Any]] = []
    wanted: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = []
    for number, (a, b, sure) in enumerate(zip(truth, found, scores, strict=True), start=1):
        size = next((mask.rle.size for mask in (*a, *b)), (1, 1))
        images.append({"id": number, "height": size[0], "width": size[1]})
        wanted += [_record(mask, number, categories[mask.label]) for mask in a]
        told = [1.0] * len(b) if sure is None else sure
        answers += [
            _record(mask, number, categories[mask.label]) | {"score": float(score)}
            for mask, score in zip(b, told, strict=True)
        ]
    known_labels = {mask.label for masks in truth for mask in masks}
    if not answers:
        return AveragePrecision(0.0, 0.0, dict.fromkeys(known_labels, AveragePrecision(0.0, 0.0)))
    known = COCO(_document(images, categories, wanted), print_function=_silent)
    given = COCO(_document(images, categories, answers), print_function=_silent)
    judge = COCOeval_faster(known, given, "segm", print_function=_silent)
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    stats = np.maximum(np.asarray(judge.stats, np.float64), 0.0)
    # thresholds, recalls, labels, sizes of objects, numbers of masks: of any size, the most masks
    precision, recall = judge.eval["precision"][:, :, :, 0, -1], judge.eval["recall"][:, :, 0, -1]
    by_label = {
        label: AveragePrecision(
            float(np.mean(precision[:, :, number - 1])), float(np.mean(recall[:, number - 1]))
        )
        for label, number in categories.items()
        if label in known_labels
    }
    return AveragePrecision(float(stats[_AP]), float(stats[_AR]), by_label)


def _record(mask: LabelledMask, image: int, category: int) -> dict[str, Any]:
    return {
        "image_id": image,
        "category_id": category,
        "segmentation": to_coco(mask.rle),
        "area": mask.rle.area_px,
        "bbox": [0, 0, 1, 1],  # masks are compared, never boxes
        "iscrowd": 0,
    }


def _document(
    images: list[dict[str, Any]], categories: dict[str | None, int], records: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "images": images,
        "categories": [{"id": number, "name": str(name)} for name, number in categories.items()],
        "annotations": [{"id": number, **one} for number, one in enumerate(records, start=1)],
    }


def _silent(*_: object) -> None:
    """faster-coco-eval tells its progress; we do not."""
