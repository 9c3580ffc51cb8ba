"""One truth out of several people's masks of an image: matched by IoU, a majority a pixel."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sam_backend.datasets.types import LabelledMask
from sam_backend.masks.overlap import iou_matrix
from sam_backend.masks.rle import RLE, box, decode_part, encode, place
from sam_backend.metrics.matching import match_masks


@dataclass(frozen=True, slots=True, eq=False)
class Agreed:
    """One object as the majority sees it.

    Attributes:
        mask: Pixels that more than half of those who drew it have, under their commonest label
            (None where two labels tie).
        votes: People who drew it.
        mean_iou: Mean IoU of their masks with it.
        labels: How often each label was given.
    """

    mask: LabelledMask
    votes: int
    mean_iou: float
    labels: Mapping[str | None, int]


@dataclass(frozen=True, slots=True, eq=False)
class Consensus:
    """An image as the majority sees it.

    Attributes:
        people: So many.
        agreed: Objects that more than half of them drew.
        dropped: How many people drew each object that the others did not see.
    """

    people: int
    agreed: tuple[Agreed, ...]
    dropped: tuple[int, ...]

    @property
    def disagreement(self) -> float:
        """How far people are apart, 0 (all drew the same) to 1.

        It is 1 minus a mean over all objects that somebody drew: the share of people who drew the
        object, times their mean IoU with the outcome.
        """
        worth = [one.votes * one.mean_iou / self.people for one in self.agreed]
        n = len(worth) + len(self.dropped)
        return 1 - sum(worth) / n if n else 0.0


def consensus(answers: Mapping[str, Sequence[LabelledMask]]) -> Consensus:
    """The masks that more than half of the people have drawn.

    The person whose masks have most in common with the others' comes first; each further one's
    masks join the object that they match (Hungarian, same label first), or begin a new one.

    Args:
        answers: Masks by person.

    Raises:
        InvalidInputError: The masks are not all of one size.
    """
    objects: list[list[LabelledMask]] = []
    for person in _by_agreement(answers):
        masks = answers[person]
        matching = match_masks([one[0] for one in objects], masks)
        for match in matching.matches:
            objects[match.truth].append(masks[match.found])
        objects += [[masks[index]] for index in matching.extra]
    people = len(answers)
    seen = [drawn for drawn in objects if 2 * len(drawn) > people]
    agreed = [_agreed(drawn) for drawn in seen]
    return Consensus(
        people=people,
        agreed=tuple(one for one in agreed if one.mask.rle.area_px),
        dropped=tuple(len(drawn) for drawn in objects if 2 * len(drawn) <= people),
    )


def _by_agreement(answers: Mapping[str, Sequence[LabelledMask]]) -> list[str]:
    def shared(person: str) -> float:
        others = [masks for name, masks in answers.items() if name != person]
        return sum(
            one.iou for masks in others for one in match_masks(answers[person], masks).matches
        )

    return sorted(answers, key=lambda person: (-shared(person), person))


def _agreed(drawn: Sequence[LabelledMask]) -> Agreed:
    rle = majority([one.rle for one in drawn])
    labels = Counter(one.label for one in drawn)
    ranked = labels.most_common(2)
    is_tie = len(ranked) == 2 and ranked[0][1] == ranked[1][1]
    ious = iou_matrix([rle], [one.rle for one in drawn])
    label = None if is_tie else ranked[0][0]
    return Agreed(LabelledMask(rle, label, is_gold=True), len(drawn), float(ious.mean()), labels)


def majority(masks: Sequence[RLE]) -> RLE:
    """Pixels that are in more than half of the masks, all of one size; at least one mask."""
    boxes = [found for found in map(box, masks) if found is not None]
    if not boxes:
        return masks[0]
    rows, columns = (
        slice(min(one.start for one in axis), max(one.stop for one in axis))
        for axis in zip(*boxes, strict=True)
    )
    votes = sum(decode_part(mask, rows, columns).astype(np.int64) for mask in masks)
    part = encode(np.asarray(2 * np.asarray(votes) > len(masks)))
    return place(part, (columns.start, rows.start), masks[0].size)
