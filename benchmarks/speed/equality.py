"""Whether two sides gave the same masks; the rules are those of issue 4, "Equal means".

float32: one mask against its counterpart, found by key. bfloat16 moves logits, so that masks are
matched by their IoU instead.

One rule has a floor of its own. Float sums in another order move logits by 1e-7 of the largest, and
with them single border pixels of large images: where edges are soft, the reference itself,
computing the same in other batches, gives fewer than 99 % identical masks. Nothing can be more
equal to it than it is to itself, so that such a share is asked of ours; reports tell both.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from benchmarks.speed.outcome import Outcome, by_key, n_different
from benchmarks.speed.thresholds import Dispute, Thresholds
from sam_backend.masks.overlap import iou_matrix

LOGIT_TOLERANCE = 1e-5
"""Of the largest |logit|."""
IOU_TOLERANCE = 1e-5
STABILITY_TOLERANCE = 1e-4
"""The issue's hair around a threshold; it sets no tolerance for stability itself."""
LEAST_IDENTICAL = 0.99
PIXEL_TOLERANCE = 1e-5
"""Of an image's pixels, for masks that are not identical."""
BOX_TOLERANCE_PX = 1.0
MOST_DISPUTED = 0.005
"""Of the accepted masks; those within a hair of a threshold."""

EMBEDDING_TOLERANCE = 1.5e-2
LEAST_MATCH_IOU = 0.9
LEAST_PRECISION = 0.97
LEAST_MEAN_IOU = 0.99


@dataclass(frozen=True, slots=True)
class Verdict:
    """Equal or not, and the figures that say so.

    Attributes:
        faults: What breaks a rule, one sentence each; none: equal.
        figures: What was measured, by name.
    """

    faults: tuple[str, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """True if no rule is broken."""
        return not self.faults

    def joined(self, other: "Verdict") -> "Verdict":
        """Both at once."""
        return Verdict(self.faults + other.faults, self.figures | other.figures)


def judge_exact(
    reference: Sequence[Outcome],
    ours: Sequence[Outcome],
    thresholds: Thresholds | None = None,
    again: Callable[[], Sequence[Outcome]] | None = None,
) -> Verdict:
    """The float32 tier.

    Args:
        reference: Of `segment_anything`.
        ours: Of this package.
        thresholds: Of the generator; None where no mask may be missing.
        again: The reference's masks in another batch; asked for only where too few of ours are
            identical.
    """
    theirs, mine = by_key(reference), by_key(ours)
    shared = [(theirs[key], mine[key]) for key in theirs if key in mine]
    missing = [one for key, one in theirs.items() if key not in mine]
    extra = [one for key, one in mine.items() if key not in theirs]
    sets = _set_verdict(Dispute(missing, extra, reference, ours), thresholds)
    if not shared:
        return sets.joined(Verdict(("no mask to compare",), {"masks": len(theirs)}))
    verdict = sets.joined(_identical_verdict(shared, theirs, again))
    return verdict.joined(_pairs_verdict(shared))


def _identical_verdict(
    shared: Sequence[tuple[Outcome, Outcome]],
    theirs: Mapping[tuple[float, ...], Outcome],
    again: Callable[[], Sequence[Outcome]] | None,
) -> Verdict:
    """Whether enough masks are the same in every pixel."""
    share = identical_share(shared)
    figures: dict[str, float] = {"masks": len(shared), "identical": share}
    least = LEAST_IDENTICAL
    if share < least and again is not None:
        pairs = [(theirs[one.key], one) for one in again() if one.key in theirs]
        own = identical_share(pairs)
        figures["identical, reference in another batch"] = own
        # so many masks tell the share only so well: two standard errors
        least = min(least, own - 2 * math.sqrt(own * (1 - own) / len(pairs)))
    fault = f"only {share:.2%} of the masks are identical, not {least:.2%}"
    return Verdict((fault,) if share < least else (), figures)


def identical_share(pairs: Sequence[tuple[Outcome, Outcome]]) -> float:
    """How many of the pairs are the same in every pixel, 0 to 1."""
    return float(np.mean([n_different(a.rle, b.rle) == 0 for a, b in pairs]))


def _pairs_verdict(shared: Sequence[tuple[Outcome, Outcome]]) -> Verdict:
    """How far masks that both sides have are apart."""
    faults: list[str] = []
    figures: dict[str, float] = {}
    changed = [n_different(a.rle, b.rle) / (a.rle.size[0] * a.rle.size[1]) for a, b in shared]
    figures["worst changed pixels, of the image"] = max(changed)
    if max(changed) > PIXEL_TOLERANCE:
        faults.append(f"a mask differs in {max(changed):.2g} of the image's pixels")
    boxes = max(float(np.abs(np.subtract(a.box, b.box)).max()) for a, b in shared)
    figures["box difference, px"] = boxes
    if boxes > BOX_TOLERANCE_PX:
        faults.append(f"a box differs by {boxes:g} px")
    for name, worst, most in (
        ("predicted IoU difference", _worst(shared, "predicted_iou"), IOU_TOLERANCE),
        ("stability difference", _worst(shared, "stability"), STABILITY_TOLERANCE),
        ("logit difference, of the largest", _worst_logit(shared), LOGIT_TOLERANCE),
    ):
        if worst is not None:
            figures[name] = worst
            if worst > most:
                faults.append(f"{name} is {worst:.2g}, not at most {most:g}")
    return Verdict(tuple(faults), figures)


def _set_verdict(dispute: Dispute, thresholds: Thresholds | None) -> Verdict:
    """Of masks that only one side has."""
    n_single = len(dispute.missing) + len(dispute.extra)
    counts = f"{len(dispute.missing)} masks are missing, {len(dispute.extra)} too many"
    if thresholds is None:
        return Verdict((counts,) if n_single else ())
    explained = dispute.explained(thresholds)
    faults = []
    if n_single > len(explained):
        faults.append(f"{counts}; no threshold explains {n_single - len(explained)} of them")
    if len(explained) > MOST_DISPUTED * len(dispute.reference):
        faults.append(f"{len(explained)} masks are disputed at a threshold")
    return Verdict(tuple(faults), {"disputed at a threshold": len(explained)})


def _worst(shared: Sequence[tuple[Outcome, Outcome]], name: str) -> float | None:
    values = [(getattr(a, name), getattr(b, name)) for a, b in shared]
    known = [abs(a - b) for a, b in values if a is not None and b is not None]
    return max(known, default=None)


def _worst_logit(shared: Sequence[tuple[Outcome, Outcome]]) -> float | None:
    pairs = [(a.logits, b.logits) for a, b in shared]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not known:
        return None
    largest = max(float(np.abs(a).max()) for a, _ in known)
    return max(float(np.abs(a - b).max()) for a, b in known) / largest


def judge_close(reference: Sequence[Outcome], ours: Sequence[Outcome], n_key: int = 0) -> Verdict:
    """The bfloat16 tier: masks matched for the largest summed IoU.

    Args:
        reference: Of `segment_anything`.
        ours: Of this package.
        n_key: Only masks whose keys begin with the same so many numbers can match: 1 where they
            answer the same click, 0 where anything may be found anywhere.
    """
    groups = {one.key[:n_key] for one in (*reference, *ours)}
    matched: list[float] = []
    for group in groups:
        a = [one.rle for one in reference if one.key[:n_key] == group]
        b = [one.rle for one in ours if one.key[:n_key] == group]
        ious = iou_matrix(a, b)
        rows, columns = linear_sum_assignment(ious, maximize=True)
        matched += [iou for iou in ious[rows, columns].tolist() if iou >= LEAST_MATCH_IOU]
    precision = len(matched) / max(1, len(ours))
    recall = len(matched) / max(1, len(reference))
    mean_iou = float(np.mean(matched)) if matched else 0.0
    figures = {
        "masks": len(reference), "precision": precision, "recall": recall, "matched mIoU": mean_iou
    }  # fmt: skip
    faults = [
        f"{name} is {value:.4f}, not at least {least}"
        for name, value, least in (
            ("precision", precision, LEAST_PRECISION),
            ("recall", recall, LEAST_PRECISION),
            ("matched mIoU", mean_iou, LEAST_MEAN_IOU),
        )
        if value < least
    ]
    return Verdict(tuple(faults), figures)


def judge_embedding(
    reference: npt.NDArray[np.floating], ours: npt.NDArray[np.floating], most: float
) -> Verdict:
    """The relative L2 distance of two embeddings of one shape, at most `most`."""
    distance = float(np.linalg.norm(reference - ours) / np.linalg.norm(reference))
    faults = (f"the embedding is {distance:.2g} off, not at most {most:g}",)
    return Verdict(faults if not distance <= most else (), {"embedding, relative L2": distance})
