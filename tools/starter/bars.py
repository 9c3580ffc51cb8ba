"""Bars that suit a checkpoint: which automatic masks are kept, accepted and suggested.

One pass over some photos asks a grid of points and keeps everything; each bar that is tried
is a filter over what that pass found. What is chosen is measured on other photos.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sam_backend.datasets.pixels import read_pixels
from sam_backend.datasets.selection import select
from sam_backend.datasets.types import Dataset
from sam_backend.errors import InvalidInputError
from sam_backend.masks.overlap import iou_matrix
from sam_backend.masks.rle import RLE
from sam_backend.metrics.matching import match_by_score
from sam_backend.metrics.prefill_curve import Tally, tally
from sam_backend.projects.prefill_settings import PrefillSettings
from sam_backend.sam.automatic.generator import best_of_each, generate
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.sam.promptable import PromptableModel
from sam_backend.semi_automatic.selection import cap, split_duplicates
from sam_backend.semi_automatic.triage import Bar, Judged, Outcome, triage
from tools.starter.releasing import MIN_SEGMENT_SHARE

MATCH_IOU = 0.5
MAX_MASKS = 100
"""Automatic masks a photo, on average."""
ACCEPT_PRECISION, REVIEW_PRECISION = 0.87, 0.6
"""Share of accepted and of all shown masks that somebody drew. The goal for accepted ones is 0.85:
a bar that is chosen on some photos is a little too good there."""
STABILITIES = (0.0, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
BOX_NMS = (0.5, 0.6, 0.7, 0.8)
HUNDREDTHS = tuple(round(n / 100, 2) for n in range(100))


@dataclass(frozen=True, slots=True, eq=False)
class Scanned:
    """Everything that one pass found on a photo, the surest mask first.

    Attributes:
        size: (height, width) in pixels.
        records: N masks that the grid gave.
        boxes: Box of each record, shape (N, 4) int64, x0 y0 x1 y1.
        predicted: Predicted IoU of each record, shape (N,).
        stability: Stability of each record, shape (N,).
        truths: T masks that people drew, of all annotators.
        ious: IoU of each record with each drawn mask, shape (N, T).
        annotators: Who drew each of these masks, shape (T,).
    """

    size: tuple[int, int]
    records: tuple[MaskRecord, ...]
    boxes: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.float64]
    stability: npt.NDArray[np.float64]
    truths: tuple[RLE, ...]
    ious: npt.NDArray[np.float64]
    annotators: npt.NDArray[np.str_]

    def kept(self, bars: AutomaticSettings) -> list[int]:
        """What the generator would keep with these bars, the surest first."""
        passes = np.flatnonzero(
            (self.predicted > bars.predicted_iou) & (self.stability >= bars.stability)
        )
        best = best_of_each(self.boxes[passes], self.predicted[passes], bars.box_nms)
        return [int(i) for i in passes[best]]


@dataclass(frozen=True, slots=True)
class Figures:
    """How good bars are on some photos.

    Attributes:
        recall: Share of people's masks that an automatic mask finds, each mask one of an annotator.
        masks: Automatic masks a photo, on average.
        accepted: Masks that are accepted, compared with masks of any annotator.
        shown: Masks that are accepted or suggested, compared in the same way.
        photos: Number of photos.
    """

    recall: float
    masks: float
    accepted: Tally
    shown: Tally
    photos: int

    def as_card(self) -> dict[str, float]:
        """Figures by name."""
        told = {"automatic recall@0.5": self.recall, "automatic masks a photo": self.masks}
        for name, one in (("prefilled", self.accepted), ("shown", self.shown)):
            told[f"{name} precision@0.5"] = one.right[0] / max(1, one.prefilled)
            told[f"{name} recall@0.5"] = one.found[0] / max(1, one.truth)
        told["prefilled masks a photo"] = self.accepted.prefilled / self.photos
        return {name: round(value, 3) for name, value in told.items()} | {"photos": self.photos}


@dataclass(frozen=True, slots=True)
class Bars:
    """What the card says under `automatic` and `prefill`."""

    automatic: AutomaticSettings
    prefill: PrefillSettings

    def as_card(self) -> dict[str, dict[str, float]]:
        """Both sections, with what differs from SAM's own only where it was chosen."""
        chosen = ("points_per_side", "predicted_iou", "stability", "box_nms")
        bars = ("accept_predicted_iou", "accept_stability")
        bars += ("review_predicted_iou", "review_stability")
        return {
            "automatic": {name: getattr(self.automatic, name) for name in chosen},
            "prefill": {name: getattr(self.prefill, name) for name in bars},
        }


def scan_all(
    segmenter: PromptableModel,
    photos: Dataset,
    points_per_side: int,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> list[Scanned]:
    """The one pass: every mask that the grid gives, with what people drew.

    Args:
        segmenter: The checkpoint to ask.
        photos: With masks of one or several annotators; small ones are left out.
        points_per_side: Of the grid.
        tell: Called after each photo.
    """
    loose = AutomaticSettings(
        points_per_side=points_per_side, predicted_iou=0.0, stability=0.0, box_nms=1.0
    )
    wanted = select(photos, MIN_SEGMENT_SHARE)
    found = []
    for image in wanted:
        records = tuple(generate(segmenter, read_pixels(image), loose, image.digest))
        truths = tuple(mask.rle for mask in image.masks)
        found.append(
            Scanned(
                size=image.size,
                records=records,
                boxes=np.array([one.box for one in records], np.int64).reshape(-1, 4),
                predicted=np.array([one.predicted_iou for one in records], np.float64),
                stability=np.array([one.stability for one in records], np.float64),
                truths=truths,
                ious=iou_matrix([one.rle for one in records], truths),
                annotators=np.array([str(mask.annotator) for mask in image.masks]),
            )
        )
        tell(len(found), len(wanted))
    return found


def choose(photos: Sequence[Scanned], points_per_side: int, max_masks: float = MAX_MASKS) -> Bars:
    """The bars that suit these photos.

    Automatic masks: of all bars with at most `max_masks` a photo, those that find most of what
    people drew. Prefilled masks: of all bars whose precision is at least `ACCEPT_PRECISION`, those
    with the highest recall; likewise all shown masks with `REVIEW_PRECISION`. Where no bar is so
    precise, the most precise one that keeps a mask a photo: less would be no help to anybody.

    Args:
        photos: Of `scan_all`.
        points_per_side: Of the grid that they were scanned with.
        max_masks: Automatic ones a photo, on average.

    Raises:
        InvalidInputError: There is no photo.
    """
    _check_any(photos, "choosing")
    tried = (
        AutomaticSettings(
            points_per_side=points_per_side,
            predicted_iou=_least_bar(photos, stability, nms, max_masks),
            stability=stability,
            box_nms=nms,
        )
        for stability in STABILITIES
        for nms in BOX_NMS
    )
    automatic = max(tried, key=lambda bars: _recall(photos, bars))
    left = [_Left.of(photo, automatic) for photo in photos]
    accept = _most_found(left, ACCEPT_PRECISION, Bar(1.0, 1.0))
    review = _most_found(left, REVIEW_PRECISION, accept)
    prefill = PrefillSettings(
        accept_predicted_iou=accept.predicted_iou,
        accept_stability=accept.stability,
        review_predicted_iou=review.predicted_iou,
        review_stability=review.stability,
    )
    return Bars(automatic, prefill)


def measure(photos: Sequence[Scanned], bars: Bars) -> Figures:
    """How good bars are on photos, as prefilling and the automatic generator apply them.

    Args:
        photos: Of `scan_all`.
        bars: To measure.

    Raises:
        InvalidInputError: There is no photo.
    """
    _check_any(photos, "measuring")
    told = bars.prefill
    accept = Bar(told.accept_predicted_iou, told.accept_stability)
    review = Bar(told.review_predicted_iou, told.review_stability)
    accepted, shown, counts = [], [], []
    for photo in photos:
        records = [photo.records[i] for i in photo.kept(bars.automatic)]
        seen = _shown(records, accept, review)
        sure = [one for one in seen if one.outcome is Outcome.ACCEPT]
        accepted.append(tally(_masks(sure), photo.truths))
        shown.append(tally(_masks(seen), photo.truths))
        counts.append(len(records))
    return Figures(
        recall=_recall(photos, bars.automatic),
        masks=float(np.mean(counts)),
        accepted=sum(accepted[1:], start=accepted[0]),
        shown=sum(shown[1:], start=shown[0]),
        photos=len(photos),
    )


def _check_any(photos: Sequence[Scanned], what: str) -> None:
    if not photos:
        raise InvalidInputError(f"{what} bars takes at least one photo with masks, not none")


def _least_bar(photos: Sequence[Scanned], stability: float, nms: float, limit: float) -> float:
    """The lowest predicted IoU with which a photo has at most `limit` masks on average."""

    def n_masks(predicted_iou: float) -> float:
        bars = AutomaticSettings(predicted_iou=predicted_iou, stability=stability, box_nms=nms)
        return float(np.mean([len(photo.kept(bars)) for photo in photos]))

    low, high = 0, len(HUNDREDTHS) - 1
    while low < high:
        middle = (low + high) // 2
        if n_masks(HUNDREDTHS[middle]) <= limit:
            high = middle
        else:
            low = middle + 1
    return HUNDREDTHS[low]


def _recall(photos: Sequence[Scanned], bars: AutomaticSettings) -> float:
    found = n_masks = 0
    for photo in photos:
        kept = photo.kept(bars)
        for annotator in np.unique(photo.annotators):
            ious = photo.ious[kept][:, photo.annotators == annotator]
            found += int((match_by_score(ious, (MATCH_IOU,)) >= 0).sum())
            n_masks += ious.shape[1]
    return found / max(1, n_masks)


@dataclass(frozen=True, slots=True, eq=False)
class _Left:
    """What automatic bars leave of a photo's N masks, compared once for all bars of prefilling.

    Attributes:
        predicted: Predicted IoU of each mask, the highest first, shape (N,).
        stability: Stability of each mask, in the same order, shape (N,).
        is_alike: Of each mask with each, whether one of them is a duplicate, shape (N, N).
        is_match: Of each mask with each of the T that people drew, shape (N, T).
    """

    predicted: npt.NDArray[np.float64]
    stability: npt.NDArray[np.float64]
    is_alike: npt.NDArray[np.bool_]
    is_match: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, photo: Scanned, bars: AutomaticSettings) -> "_Left":
        kept = photo.kept(bars)
        masks = [photo.records[i].rle for i in kept]
        is_alike = iou_matrix(masks, masks) >= PrefillSettings().duplicate_iou
        return cls(
            photo.predicted[kept], photo.stability[kept], is_alike, photo.ious[kept] >= MATCH_IOU
        )

    def shown(self, bar: Bar) -> list[int]:
        """Masks that reach the bar, without duplicates of surer ones."""
        reach = (self.predicted >= bar.predicted_iou) & (self.stability >= bar.stability)
        shown: list[int] = []
        for i in np.flatnonzero(reach).tolist():
            if not self.is_alike[i, shown].any():
                shown.append(i)
        return shown


def _most_found(photos: Sequence[_Left], least: float, at_most: Bar) -> Bar:
    """Of the bars up to `at_most` that are so precise the one with the highest recall."""
    best: tuple[tuple[bool, float], Bar] | None = None
    n_truths = sum(photo.is_match.shape[1] for photo in photos)
    for bar in _lower_bars(at_most):
        n_shown = n_right = n_found = 0
        for photo in photos:
            matches = photo.is_match[photo.shown(bar)]
            n_shown += len(matches)
            n_right += int(matches.any(axis=1).sum())
            n_found += int(matches.any(axis=0).sum())
        precision = n_right / max(1, n_shown)
        is_precise = precision >= least
        if not is_precise and n_shown < len(photos):
            continue
        rank = is_precise, n_found / max(1, n_truths) if is_precise else precision
        if best is None or rank > best[0]:
            best = rank, bar
    return at_most if best is None else best[1]


def _lower_bars(at_most: Bar) -> Iterator[Bar]:
    for stability in STABILITIES:
        for predicted_iou in HUNDREDTHS[10::2]:
            if stability <= at_most.stability and predicted_iou <= at_most.predicted_iou:
                yield Bar(predicted_iou, stability)


def _shown(records: Sequence[MaskRecord], accept: Bar, review: Bar) -> list[Judged]:
    """What prefilling shows of a photo's masks."""
    settings = PrefillSettings()
    judged = triage(records, accept, review)
    candidates = [one for one in judged if one.outcome is not Outcome.DISCARD]
    single, _ = split_duplicates(candidates, settings.duplicate_iou)
    return cap(single, settings.max_masks)[0]


def _masks(judged: Sequence[Judged]) -> list[RLE]:
    return [one.record.rle for one in judged]
