"""What is missing on an image after it was prefilled, as far as the model can tell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sam_backend.masks.clicks import deepest_point
from sam_backend.masks.combining import subtract, union
from sam_backend.masks.rle import RLE, decode
from sam_backend.semi_automatic.triage import Judged, Outcome

MIN_GAP_PX = 100
"""Smaller rests are edges of what is covered (paper, appendix B: specks end at 100 px)."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A segment of the model's that nothing accepted or drawn covers.

    Attributes:
        x: Column of the pixel that lies deepest in it.
        y: Downwards.
        area_px: Its uncovered pixels.
        share: Share of the image.
    """

    x: int
    y: int
    area_px: int
    share: float


@dataclass(frozen=True, slots=True)
class Gaps:
    """What is left for people to do.

    Attributes:
        coverage: Share of the image under accepted and drawn masks.
        largest: Uncovered segments that do not overlap, the largest first.
    """

    coverage: float
    largest: tuple[Gap, ...]


def find_gaps(
    judged: Sequence[Judged], drawn: Sequence[RLE], size: tuple[int, int], n_most: int = 5
) -> Gaps:
    """Coverage, and the largest segments outside of it.

    Args:
        judged: All that was proposed; what is not accepted shows where something may be.
        drawn: Masks that people have drawn.
        size: (height, width) of the image in pixels.
        n_most: At most so many segments.
    """
    n_pixels = size[0] * size[1]
    accepted = [one.record.rle for one in judged if one.outcome is Outcome.ACCEPT]
    covered = union([*accepted, *drawn], size)
    rests = [
        subtract(one.record.rle, covered) for one in judged if one.outcome is not Outcome.ACCEPT
    ]
    largest: list[Gap] = []
    while len(largest) < n_most:
        rests = [rest for rest in rests if rest.area_px >= MIN_GAP_PX]
        if not rests:
            break
        widest = max(rests, key=lambda rest: rest.area_px)
        x, y = deepest_point(decode(widest))
        largest.append(Gap(x, y, widest.area_px, widest.area_px / n_pixels))
        rests = [subtract(rest, widest) for rest in rests if rest is not widest]
    return Gaps(covered.area_px / n_pixels, tuple(largest))


def prediction_score(shown: Iterable[Judged], drawn: Sequence[RLE], size: tuple[int, int]) -> float:
    """How much of the image is known, 0 to 1: the mean over pixels of the highest confidence there.

    Accepted masks count with their confidence, drawn pixels with 1, all others with 0. Uncertainty
    sampling, which takes the lowest score first, thus begins with the images that need people most.
    """
    ours = [one for one in shown if one.outcome is Outcome.ACCEPT]
    known = 0.0
    seen = union(drawn, size)
    known += seen.area_px
    for one in sorted(ours, key=lambda one: one.confidence, reverse=True):
        grown = union([seen, one.record.rle], size)
        known += one.confidence * (grown.area_px - seen.area_px)
        seen = grown
    return known / (size[0] * size[1])
