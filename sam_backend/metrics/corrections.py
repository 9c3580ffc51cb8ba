"""What a person changed of an image's automatic masks, and what that says of a whole lot."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sam_backend.masks.overlap import iou_matrix
from sam_backend.masks.rle import RLE
from sam_backend.metrics.intervals import Interval, Scale, ratio_interval
from sam_backend.metrics.matching import pair

PAIRED_IOU = 0.1
"""Masks that have less in common are of different objects: one was deleted, the other added."""


@dataclass(frozen=True, slots=True, eq=False)
class MaskPair:
    """An automatic mask and what became of it.

    Attributes:
        automatic: The mask as it was shown.
        corrected: The mask as it was submitted; None if it was deleted.
        iou: IoU of the two; 0 for a deleted one.
    """

    automatic: RLE
    corrected: RLE | None
    iou: float


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """An image that a person has looked at.

    Attributes:
        digest: Digest of the image.
        pairs: All automatic masks, in their order.
        added: Masks that the person drew.
    """

    digest: str
    pairs: tuple[MaskPair, ...]
    added: tuple[RLE, ...]

    @property
    def matched(self) -> list[MaskPair]:
        """The pairs of which both are there."""
        return [pair for pair in self.pairs if pair.corrected is not None]

    @property
    def n_deleted(self) -> int:
        """Automatic masks that are gone."""
        return len(self.pairs) - len(self.matched)

    def n_above(self, iou: float) -> int:
        """Pairs of at least this IoU."""
        return sum(pair.iou >= iou for pair in self.matched)

    def right_share(self, iou: float) -> float:
        """Share of masks that needed no correction worth the name; 1 for an image without masks.

        Deleted and added masks are wrong ones.
        """
        n_all = len(self.pairs) + len(self.added)
        return self.n_above(iou) / n_all if n_all else 1.0


def correction(digest: str, automatic: Sequence[RLE], corrected: Sequence[RLE]) -> Correction:
    """Pair the masks of an image (`matching.pair`).

    Args:
        digest: Digest of the image.
        automatic: Masks that were shown.
        corrected: Masks that were submitted.

    Raises:
        InvalidInputError: The masks are not all of one size.
    """
    ious = iou_matrix(automatic, corrected)
    partner = dict(pair(ious, PAIRED_IOU))
    pairs = tuple(
        MaskPair(mask, corrected[partner[i]], float(ious[i, partner[i]]))
        if i in partner
        else MaskPair(mask, None, 0.0)
        for i, mask in enumerate(automatic)
    )
    taken = set(partner.values())
    return Correction(digest, pairs, tuple(m for i, m in enumerate(corrected) if i not in taken))


_Count = Callable[[Correction], int]


@dataclass(frozen=True, slots=True)
class LotShares:
    """Figures of a lot with their 95 % intervals, as the paper tells two of them (section 5).

    A figure is None where fewer than two images have something to be counted.

    Attributes:
        pairs_above_iou_90: Share of the corrected masks with an IoU of 0.90 or more with the
            automatic one; the paper has 0.94 (arXiv 2304.02643).
        pairs_above_iou_75: The same of 0.75; the paper has 0.97.
        deleted_masks: Share of the automatic masks that were deleted.
        added_masks_per_automatic_mask: Added masks over automatic ones, told as the odds of its
            share; None also where there is no automatic mask.
    """

    pairs_above_iou_90: Interval | None = None
    pairs_above_iou_75: Interval | None = None
    deleted_masks: Interval | None = None
    added_masks_per_automatic_mask: Interval | None = None


def lot_shares(
    corrections: Sequence[Correction], weights: npt.NDArray[np.float64], strata: Sequence[str]
) -> LotShares:
    """Estimate the figures of a lot from a sample of its images.

    Args:
        corrections: Corrections of the sampled images.
        weights: Inverse of each image's probability to be drawn, shape (N,).
        strata: Each image was drawn from its own one.
    """

    def share(
        part: Callable[[Correction], int], whole: Callable[[Correction], int]
    ) -> Interval | None:
        parts, wholes = (
            np.array([count(one) for one in corrections], np.float64) for count in (part, whole)
        )
        return ratio_interval(parts, wholes, Scale.SHARE, weights, strata)

    added = share(lambda one: len(one.added), lambda one: len(one.pairs) + len(one.added))
    return LotShares(
        share(lambda one: one.n_above(0.90), lambda one: len(one.matched)),
        share(lambda one: one.n_above(0.75), lambda one: len(one.matched)),
        share(lambda one: one.n_deleted, lambda one: len(one.pairs)),
        None if added is None else _odds(added),
    )


def _odds(share: Interval) -> Interval | None:
    """What is counted over the rest, from its share of the whole; None: there is no rest."""
    if share.value == 1:
        return None
    ends = (share.value, share.low, min(share.high, 1 - 1e-9))
    return Interval(*(end / (1 - end) for end in ends))
