"""The figures of a report, all of one form, so that every one has an interval and can be gated.

A figure is Σ_k |Σ_m c(m, k)| / number of masks, with one row of contributions c(m, ·) a mask m.
A mean has one column; the calibration error has one a bin.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from sam_backend.metrics.results import MaskResult

N_BINS = 10
NOC_TARGETS = (0.85, 0.90)
MIOU_CLICKS = (1, 3, 5, 9)

Contributions = npt.NDArray[np.float64]
"""Shape (N masks, K columns)."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that describes how well masks were found.

    Attributes:
        name: For tables and JSON.
        is_higher_better: False for clicks and errors.
        contributions: Contributions of results, given the most clicks that each could get.
        digits: After the point, for people.
        least: That it can be.
        most: That it can be; None: as many clicks as were allowed.
        has_rare_extremes: Whether a mask may count many times what most do, as a failure does
            among clicks: images without one do not tell how often it happens.
    """

    name: str
    is_higher_better: bool
    contributions: Callable[[Sequence[MaskResult], int], Contributions]
    digits: int = 3
    least: float = 0.0
    most: float | None = 1.0
    has_rare_extremes: bool = False

    def limits(self, max_clicks: int) -> tuple[float, float]:
        """Return the least and the most that the figure can be."""
        return self.least, float(max(max_clicks, 2)) if self.most is None else self.most

    def value(self, results: Sequence[MaskResult], max_clicks: int) -> float:
        """The figure over all masks."""
        return float(total(self.contributions(results, max_clicks).sum(axis=0), len(results)))


def total(column_sums: Contributions, n_masks: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The figure from sums of contributions, shape (..., K), and numbers of masks, shape (...)."""
    value: npt.NDArray[np.float64] = np.abs(column_sums).sum(axis=-1) / np.asarray(n_masks)
    return value


def miou(clicks: int) -> Figure:
    """Mean IoU after so many clicks; where fewer were needed, the last IoU stays."""
    return _mean(f"{clicks}-click mIoU", partial(MaskResult.iou_after, clicks=clicks))


def noc(target_iou: float) -> Figure:
    """Mean number of clicks to reach an IoU (NoC), failures counted as all that were allowed."""

    def contributions(results: Sequence[MaskResult], max_clicks: int) -> Contributions:
        return np.array([[float(r.n_clicks(target_iou, max_clicks))] for r in results])

    name = f"NoC@{100 * target_iou:.0f}"
    return Figure(
        name, False, contributions, digits=2, least=1.0, most=None, has_rare_extremes=True
    )


def failures(target_iou: float) -> Figure:
    """Share of masks that never reach an IoU with the clicks allowed (NoF, as a share).

    RITM's code counts in its columns ">=20@85%" and ">=20@90%" those too that reach it with the
    very last click; here they are no failures.
    """

    def contributions(results: Sequence[MaskResult], max_clicks: int) -> Contributions:
        return np.array([[float(not r.reaches(target_iou, max_clicks))] for r in results])

    return Figure(f"not reached@{100 * target_iou:.0f}", False, contributions)


def _mean(name: str, of: Callable[[MaskResult], float], is_higher_better: bool = True) -> Figure:
    def contributions(results: Sequence[MaskResult], max_clicks: int) -> Contributions:
        return np.array([[of(result)] for result in results], np.float64)

    return Figure(name, is_higher_better, contributions)


def _calibration(results: Sequence[MaskResult], max_clicks: int) -> Contributions:
    """What each mask adds to its bin's sum of predicted minus true IoU.

    Expected calibration error (Naeini et al., AAAI 2015; Guo et al., arXiv 1706.04599): Σ over bins
    of n_b/N · |mean prediction - mean truth|, which is |Σ over the bin of their difference| / N.
    """
    predicted = np.array([result.predicted_iou for result in results], np.float64)
    true = np.array([result.ious[0] for result in results], np.float64)
    bins = np.clip((predicted * N_BINS).astype(np.int64), 0, N_BINS - 1)
    columns = np.zeros((len(results), N_BINS))
    columns[np.arange(len(results)), bins] = predicted - true
    return columns


ORACLE_MIOU = _mean("1-click mIoU, best of three", lambda result: result.best_iou)
BOX_MIOU = _mean("box mIoU", lambda result: result.box_iou)
ONE_CLICK_BOUNDARY = _mean("1-click boundary IoU", lambda result: result.one_click_boundary_iou)
THREE_CLICK_BOUNDARY = _mean("3-click boundary IoU", lambda result: result.three_click_boundary_iou)
BOX_BOUNDARY = _mean("box boundary IoU", lambda result: result.box_boundary_iou)
CALIBRATION_ERROR = Figure("calibration error", False, _calibration)
PREDICTION_ERROR = _mean(
    "predicted IoU off by", lambda result: abs(result.predicted_iou - result.ious[0]), False
)


def figures(max_clicks: int) -> tuple[Figure, ...]:
    """All figures that so many clicks can tell, in a table's order."""
    return (
        *(miou(clicks) for clicks in MIOU_CLICKS if clicks <= max_clicks),
        ORACLE_MIOU,
        BOX_MIOU,
        *(noc(target) for target in NOC_TARGETS),
        *(failures(target) for target in NOC_TARGETS),
        ONE_CLICK_BOUNDARY,
        *((THREE_CLICK_BOUNDARY,) if max_clicks >= 3 else ()),
        BOX_BOUNDARY,
        CALIBRATION_ERROR,
        PREDICTION_ERROR,
    )


def in_papers(max_clicks: int) -> tuple[Figure, ...]:
    """Those that papers on click segmentation print in a row, and SAM's box."""
    clicks = (miou(n) for n in (1, 3, 5) if n <= max_clicks)
    return (*(noc(target) for target in NOC_TARGETS), *clicks, BOX_MIOU)
