"""One answer to one image beside the trusted masks, object by object."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from sam_backend.datasets.types import LabelledMask
from sam_backend.masks.boundary import boundary_iou_of
from sam_backend.metrics.matching import match_masks

RIGHT_IOUS = (0.5, 0.75, 0.9)
"""At each of these IoUs it is asked which trusted masks were found."""

_WORTH_A_PROCESS = 5000
"""Masks below which starting another process takes longer than comparing them."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a person, or a model, has said of one image.

    Attributes:
        image: sha256 of the image's bytes, hex.
        who: The annotator's id, or the model's version.
        masks: Masks of the image.
        scores: How sure each of them is; None where nobody said, as people do not.
        seconds: That it took; None if unknown.
        at: When; None if unknown.
    """

    image: str
    who: str
    masks: tuple[LabelledMask, ...]
    scores: tuple[float, ...] | None = None
    seconds: float | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """One object: trusted, answered, or both.

    Attributes:
        truth: The trusted mask; None: the answer has one too many.
        found: The answer's mask; None: it is missing.
        iou: IoU of the two; 0 where there is but one.
        boundary_iou: Boundary IoU of the two, likewise (2 % of the diagonal).
        right: At each of `RIGHT_IOUS`, the IoU of the trusted mask with the answer's mask of its
            label that finds it there (`Matching.right`); 0 where none does, or without one.
    """

    truth: LabelledMask | None
    found: LabelledMask | None
    iou: float
    boundary_iou: float
    right: tuple[float, ...] = (0.0,) * len(RIGHT_IOUS)


@dataclass(frozen=True, slots=True, eq=False)
class ComparedImage:
    """An answer and what it is worth.

    Attributes:
        answer: As it was given.
        truth: The trusted masks.
        objects: Pairs in the order of the trusted masks, then what is missing, then what is too
            many.
    """

    answer: Answer
    truth: tuple[LabelledMask, ...]
    objects: tuple[Comparison, ...]


def compare_image(truth: Sequence[LabelledMask], answer: Answer) -> ComparedImage:
    """Match an answer's masks with the trusted ones.

    Raises:
        InvalidInputError: The masks are not all of one size.
    """
    matching = match_masks(truth, answer.masks)
    columns = np.stack([matching.right(iou) for iou in RIGHT_IOUS], axis=1)
    right = [tuple(row) for row in columns.tolist()]
    objects: list[Comparison] = []
    for one in matching.matches:
        a, b = truth[one.truth], answer.masks[one.found]
        boundary_iou = boundary_iou_of(a.rle, b.rle)
        objects.append(Comparison(a, b, one.iou, boundary_iou, right[one.truth]))
    objects += [Comparison(truth[i], None, 0.0, 0.0, right[i]) for i in matching.missing]
    objects += [Comparison(None, answer.masks[i], 0.0, 0.0) for i in matching.extra]
    return ComparedImage(answer, tuple(truth), tuple(objects))


def compare_images(
    truths: Sequence[Sequence[LabelledMask]], answers: Sequence[Answer], processes: int = 2
) -> list[ComparedImage]:
    """`compare_image` of many, in several processes where that pays.

    Args:
        truths: Trusted masks, answer by answer.
        answers: In any order.
        processes: At the most.

    Raises:
        InvalidInputError: As of `compare_image`.
    """
    if processes < 2 or sum(len(one.masks) for one in answers) < _WORTH_A_PROCESS:
        return [compare_image(*pair) for pair in zip(truths, answers, strict=True)]
    context = multiprocessing.get_context("spawn")  # this process may have threads
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        return list(pool.map(compare_image, truths, answers, chunksize=16))
