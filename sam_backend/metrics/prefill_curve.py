"""Recall and precision of prefilled masks over the bar that they had to reach."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sam_backend.masks.overlap import iou_matrix
from sam_backend.masks.rle import RLE

MATCH_IOUS = (0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Tally:
    """Matches of one or more images at one bar.

    Attributes:
        prefilled: Masks that reached the bar.
        truth: Masks of people.
        found: Number of `truth` that a prefilled mask matches, by IoU of `MATCH_IOUS`.
        right: Number of `prefilled` that some person has drawn, by the same.
    """

    prefilled: int
    truth: int
    found: tuple[int, ...]
    right: tuple[int, ...]

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.prefilled + other.prefilled,
            self.truth + other.truth,
            tuple(a + b for a, b in zip(self.found, other.found, strict=True)),
            tuple(a + b for a, b in zip(self.right, other.right, strict=True)),
        )


def tally(prefilled: Sequence[RLE], truth: Sequence[RLE]) -> Tally:
    """Compare the masks of one image with those of any of its annotators.

    A mask counts as found, or right, if its best counterpart has the IoU: where several people drew
    one object, one prefilled mask may answer all of them.

    Raises:
        InvalidInputError: The masks are not all of one size.
    """
    ious = iou_matrix(prefilled, truth)
    best = ious.max(axis=0, initial=0.0), ious.max(axis=1, initial=0.0)
    found, right = (
        tuple(int(np.count_nonzero(one >= least)) for least in MATCH_IOUS) for one in best
    )
    return Tally(len(prefilled), len(truth), found, right)


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """All images at one bar.

    Attributes:
        bar: Least predicted IoU of a prefilled mask.
        masks_an_image: Prefilled ones.
        recall: By IoU, share of the people's masks; None without any.
        precision: By IoU, share of the prefilled masks; None without any.
    """

    bar: float
    masks_an_image: float
    recall: dict[str, float | None]
    precision: dict[str, float | None]

    @classmethod
    def of(cls, bar: float, images: Iterable[Tally]) -> "CurvePoint":
        """The figures of all images together."""
        known = list(images)
        empty = Tally(0, 0, (0,) * len(MATCH_IOUS), (0,) * len(MATCH_IOUS))
        total = sum(known, start=empty)
        names = [f"{iou:g}" for iou in MATCH_IOUS]
        return cls(
            bar=bar,
            masks_an_image=total.prefilled / max(1, len(known)),
            recall=dict(zip(names, (_share(n, total.truth) for n in total.found), strict=True)),
            precision=dict(
                zip(names, (_share(n, total.prefilled) for n in total.right), strict=True)
            ),
        )


def draw_curve(points: Sequence[CurvePoint], marked: Sequence[float], png: Path) -> None:
    """Precision over recall, a line for each IoU, with the bars in `marked` written beside."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # not for those who only prefill
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for iou in (f"{one:g}" for one in MATCH_IOUS):
        known = [
            (point.recall[iou], point.precision[iou], point)
            for point in points
            if point.recall[iou] is not None and point.precision[iou] is not None
        ]
        axes.plot(
            [float(recall or 0) for recall, _, _ in known],
            [float(precision or 0) for _, precision, _ in known],
            marker=".",
            label=f"IoU {iou}",
        )
        for recall, precision, point in known:
            if point.bar in marked:
                where = (float(recall or 0), float(precision or 0))
                text = f"≥ {point.bar:g}: {point.masks_an_image:.0f} a picture"
                axes.annotate(text, where, textcoords="offset points", xytext=(6, 4), fontsize=8)
    axes.set(
        xlabel="recall: share of people's masks that are prefilled",
        ylabel="precision: share of prefilled masks that somebody drew",
        xlim=(0, 1),
        ylim=(0, 1),
        title="Prefilled masks by the predicted IoU that they must reach",
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(png, dpi=110, format="png")


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
