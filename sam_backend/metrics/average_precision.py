"""COCO's mask AP and AR of answers against trusted masks.

AP: precision averaged over recall, IoU thresholds 0.50 to 0.95 and labels; AR: recall with at most
100 masks of a label on an image, averaged likewise (cocodataset.org, "Detection evaluation"). The
figures are those of pycocotools' `COCOeval` for objects of any size (tests), which prints to stdout
and takes twice as long where an image has a hundred masks of one label.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sam_backend.datasets.types import LabelledMask
from sam_backend.masks.overlap import iou_matrix
from sam_backend.metrics.matching import match_by_score

_IOUS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0.0, 1.0, 101)
_MOST_ANSWERS = 100  # of a label on an image: the surest


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
    labels = sorted({mask.label for masks in truth for mask in masks}, key=str)
    if not labels:
        return None
    by_label = {label: _of_label(label, truth, found, scores) for label in labels}
    return AveragePrecision(
        float(np.mean([one.ap for one in by_label.values()])),
        float(np.mean([one.ar for one in by_label.values()])),
        by_label,
    )


def _of_label(
    label: str | None,
    truth: Sequence[Sequence[LabelledMask]],
    found: Sequence[Sequence[LabelledMask]],
    scores: Sequence[Sequence[float] | None],
) -> AveragePrecision:
    n_wanted = 0
    sure: list[npt.NDArray[np.float64]] = [np.zeros(0)]
    hits: list[npt.NDArray[np.bool_]] = [np.zeros((len(_IOUS), 0), np.bool_)]
    for masks, answers, told in zip(truth, found, scores, strict=True):
        wanted = [mask.rle for mask in masks if mask.label == label]
        n_wanted += len(wanted)
        own = [place for place, mask in enumerate(answers) if mask.label == label]
        own_scores = np.array([1.0 if told is None else told[i] for i in own], np.float64)
        order = np.argsort(-own_scores, kind="stable")[:_MOST_ANSWERS]
        ious = iou_matrix([answers[own[i]].rle for i in order], wanted)
        hits.append(match_by_score(ious, _IOUS.tolist()) >= 0)
        sure.append(own_scores[order])
    ranked = np.argsort(-np.concatenate(sure), kind="stable")
    n_right = np.concatenate(hits, axis=1)[:, ranked].cumsum(axis=1)
    if not len(ranked):
        return AveragePrecision(0.0, 0.0)
    recall = n_right / n_wanted
    precision = n_right / np.arange(1, len(ranked) + 1)
    # at each recall the best precision that is reached there or later
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    best = np.concatenate([best, np.zeros((len(best), 1))], axis=1)  # a recall that is not reached
    at = [
        row[np.searchsorted(reached, _RECALLS)] for row, reached in zip(best, recall, strict=True)
    ]
    return AveragePrecision(float(np.mean(at)), float(recall[:, -1].mean()))
