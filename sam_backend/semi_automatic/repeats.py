"""Only what is new: proposals for what a person has drawn already are left out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sam_backend.masks.combining import union
from sam_backend.masks.overlap import box_iou, iou_matrix, share_inside
from sam_backend.masks.rle import RLE
from sam_backend.projects.prefill_settings import Nesting
from sam_backend.semi_automatic.triage import Judged


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """A proposal that is no news.

    Attributes:
        judged: The proposal.
        drawn: Index of the drawn mask or box that it has most in common with.
        iou: With that one; of a box, with the box around the proposal.
    """

    judged: Judged
    drawn: int
    iou: float


def split_repeats(
    judged: Sequence[Judged],
    drawn: Sequence[RLE],
    rule: Nesting,
    min_iou: float,
    min_containment: float,
) -> tuple[list[Judged], list[Repeat]]:
    """What is new and what is not, both in the given order.

    A proposal repeats a drawn mask that it has an IoU of at least `min_iou` with, and several drawn
    masks inside it if they are so much alike together (a car in four pieces). One that lies inside
    a drawn mask is its part, and one that a drawn mask lies inside is a whole around it: the rule
    says which of these are still proposed.

    Args:
        judged: Proposals for one image.
        drawn: Masks that people have drawn on it, of the same size.
        rule: `whole` proposes no parts of what is drawn, `parts` no wholes around it.
        min_iou: From this IoU on two masks are the same.
        min_containment: One lies inside another from this share of its pixels.

    Raises:
        InvalidInputError: The masks are not all of one size.
    """
    if not judged or not drawn:
        return list(judged), []
    proposed = [one.record.rle for one in judged]
    ious = iou_matrix(proposed, drawn)
    is_part = share_inside(proposed, drawn) >= min_containment
    holds = min_containment <= share_inside(drawn, proposed).T  # [i, j]: j lies inside i
    new: list[Judged] = []
    repeats: list[Repeat] = []
    for index, one in enumerate(judged):
        nearest = int(ious[index].argmax())
        is_same = ious[index, nearest] >= min_iou
        if not is_same and holds[index].sum() > 1:
            together = union([drawn[i] for i in holds[index].nonzero()[0]])
            is_same = iou_matrix([one.record.rle], [together])[0, 0] >= min_iou
        is_unwanted = (rule == "whole" and is_part[index].any()) or (
            rule == "parts" and holds[index].any()
        )
        if is_same or is_unwanted:
            repeats.append(Repeat(one, nearest, float(ious[index, nearest])))
        else:
            new.append(one)
    return new, repeats


def split_boxed(
    judged: Sequence[Judged], boxes: npt.NDArray[np.float64], min_iou: float
) -> tuple[list[Judged], list[Repeat]]:
    """What no drawn rectangle stands for, and what one does, both in the given order.

    A rectangle says which box an object has, so it is compared with the box around a proposal.

    Args:
        judged: Proposals for one image.
        boxes: Rectangles that people have drawn on it, shape (N, 4), x0 y0 x1 y1 in pixels.
        min_iou: From this IoU on two boxes are of the same object.
    """
    if not judged or not len(boxes):
        return list(judged), []
    ends_to_edges = np.array([0, 0, 1, 1])  # a record's box ends in the mask's last pixel
    around = np.array([one.record.box for one in judged], np.float64) + ends_to_edges
    ious = box_iou(around, boxes)
    new: list[Judged] = []
    repeats: list[Repeat] = []
    for one, row in zip(judged, ious, strict=True):
        nearest = int(row.argmax())
        if row[nearest] >= min_iou:
            repeats.append(Repeat(one, nearest, float(row[nearest])))
        else:
            new.append(one)
    return new, repeats
