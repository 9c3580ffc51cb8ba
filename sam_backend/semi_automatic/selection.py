"""Selection: which proposals of an image are shown.

Of proposals that are all but the same one stays (`split_duplicates`), an object or its parts
(`select_nested`), nothing that a person has drawn already (`split_repeats`, `split_boxed`), and no
more than the editor can bear (`cap`).
"""

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
    """A proposal that overlaps an existing annotation.

    Attributes:
        judged: The proposal.
        drawn: Index of the drawn mask or box that it has most in common with.
        iou: IoU of the proposal with that mask; for a box, IoU of the two boxes.
    """

    judged: Judged
    drawn: int
    iou: float


def split_duplicates(judged: Sequence[Judged], min_iou: float) -> tuple[list[Judged], list[Judged]]:
    """Keep the surest of masks that are nearly the same.

    The generator compares boxes (paper, appendix B), which a stray speck widens.

    Args:
        judged: Masks of one image.
        min_iou: A mask is dropped if its IoU with a surer, kept one is at least this.

    Returns:
        The masks that are kept and those that are dropped, both in the given order.
    """
    masks = [one.record.rle for one in judged]
    ious = iou_matrix(masks, masks)
    kept: list[int] = []
    for index in np.argsort([-one.confidence for one in judged], kind="stable").tolist():
        if not kept or ious[index, kept].max() < min_iou:
            kept.append(index)
    stays = set(kept)
    return (
        [one for index, one in enumerate(judged) if index in stays],
        [one for index, one in enumerate(judged) if index not in stays],
    )


def select_nested(
    judged: Sequence[Judged], rule: Nesting, min_containment: float
) -> tuple[list[Judged], list[Judged]]:
    """Keep objects or their parts, for example cars or wheels.

    Of two masks that lie in each other, which are all but the same, none is the other's part.

    Args:
        judged: Masks of one image.
        rule: `whole` drops parts, `parts` drops wholes, `both` keeps all.
        min_containment: A mask lies inside another from this share of its pixels.

    Returns:
        The masks that are kept and those that are dropped, both in the given order.
    """
    if rule == "both" or len(judged) < 2:
        return list(judged), []
    masks = [one.record.rle for one in judged]
    inside = share_inside(masks, masks) >= min_containment
    is_part = inside & ~inside.T  # [i, j]: i is a part of j
    is_dropped = np.any(is_part, axis=1 if rule == "whole" else 0).tolist()
    kept = [one for one, dropped in zip(judged, is_dropped, strict=True) if not dropped]
    return kept, [one for one, dropped in zip(judged, is_dropped, strict=True) if dropped]


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


def cap(judged: Sequence[Judged], max_masks: int) -> tuple[list[Judged], list[Judged]]:
    """Keep the masks worth most, confidence times area: brush-heavy tasks freeze the editor.

    What chance has drawn stays whatever it is worth: else it would stand for nothing.

    Returns:
        What stays, the largest first, so that small masks lie on top of large ones in the editor;
        and what goes, the most valuable first.
    """
    by_worth = sorted(
        judged,
        key=lambda one: (one.drawn_for is not None, one.confidence * one.record.area_px),
        reverse=True,
    )
    kept = sorted(by_worth[:max_masks], key=lambda one: one.record.area_px, reverse=True)
    return kept, by_worth[max_masks:]
