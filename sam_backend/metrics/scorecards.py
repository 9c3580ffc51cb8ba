"""How good one annotator, or one model version, is: figures over compared images.

Every figure is a sum over objects divided by another one, with an interval over images. It is None
where it would rest on fewer than `MIN_IMAGES` images or `MIN_OBJECTS` objects.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sam_backend.json_form import as_json
from sam_backend.metrics.average_precision import AveragePrecision, average_precision
from sam_backend.metrics.comparison import RIGHT_IOUS, ComparedImage
from sam_backend.metrics.intervals import MIN_IMAGES, Interval, Scale, ratio_interval

MIN_OBJECTS = 20
"""Of fewer objects a single one moves a share by more than five points."""

SMALL_PX = 32**2
"""COCO's limit of small objects (cocodataset.org, "Detection evaluation")."""

QUALITY = "quality"
MATCHED_IOU, BOUNDARY_IOU = "matched_iou", "boundary_iou"
MISSING, MISSING_SMALL, MISSING_LARGER = "missing", "missing_small", "missing_larger"
EXTRA, WRONG_LABEL, SIZE = "extra", "wrong_label", "log_size_ratio"
SECONDS = "seconds_per_mask"

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """All objects of some compared images, in columns of shape (N,).

    Attributes:
        image: Place of the image.
        truth_label: Label of the trusted mask; None without one, or without a label.
        found_label: Label of the answered mask, likewise.
        is_truth: There is a trusted mask that counts.
        is_found: There is an answered mask that counts.
        is_pair: Both are there, whether or not they count.
        is_same: Both are there under one label.
        is_small: The trusted mask is.
        iou: IoU of a pair, else 0.
        boundary_iou: Likewise.
        right: IoU of the trusted mask with what finds it at each of `RIGHT_IOUS`, else 0; shape
            (N, 3).
        log_ratio: Logarithm of the answered over the trusted area, of a pair, else 0.
    """

    image: npt.NDArray[np.int64]
    truth_label: npt.NDArray[np.object_]
    found_label: npt.NDArray[np.object_]
    is_truth: Flags
    is_found: Flags
    is_pair: Flags
    is_same: Flags
    is_small: Flags
    iou: Values
    boundary_iou: Values
    right: Values
    log_ratio: Values

    @classmethod
    def of(cls, images: Sequence[ComparedImage]) -> Self:
        """Of compared images; all masks count."""
        places = [place for place, image in enumerate(images) for _ in image.objects]
        objects = [one for image in images for one in image.objects]
        truths, founds = [one.truth for one in objects], [one.found for one in objects]
        areas, other = (
            np.array([0 if one is None else one.rle.area_px for one in column], np.float64)
            for column in (truths, founds)
        )
        is_truth, is_found = (
            np.array([one is not None for one in column], np.bool_) for column in (truths, founds)
        )
        labels, other_labels = (
            np.array([None if one is None else one.label for one in column], np.object_)
            for column in (truths, founds)
        )
        is_pair = is_truth & is_found
        log_ratio = np.zeros(len(objects))
        log_ratio[is_pair] = np.log(other[is_pair] / areas[is_pair])
        return cls(
            image=np.array(places, np.int64),
            truth_label=labels,
            found_label=other_labels,
            is_truth=is_truth,
            is_found=is_found,
            is_pair=is_pair,
            is_same=is_pair & (labels == other_labels),
            is_small=areas < SMALL_PX,
            iou=np.array([one.iou for one in objects], np.float64),
            boundary_iou=np.array([one.boundary_iou for one in objects], np.float64),
            right=np.array([one.right for one in objects]).reshape(-1, len(RIGHT_IOUS)),
            log_ratio=log_ratio,
        )

    def only(self, label: str) -> Self:
        """The same objects, of which only masks of one label count."""
        return replace(
            self,
            is_truth=self.is_truth & (self.truth_label == label),
            is_found=self.is_found & (self.found_label == label),
        )

    def on(self, images: Sequence[int]) -> Self:
        """The objects of some images, by their places, rising; they are counted anew."""
        rows = np.isin(self.image, images)
        columns = {one.name: getattr(self, one.name)[rows] for one in fields(self)}
        return replace(self, **columns | {"image": np.searchsorted(images, columns["image"])})


Column = Callable[[Objects], npt.NDArray[Any]]


def _counted(o: Objects) -> Flags:
    """Pairs whose trusted mask counts."""
    return o.is_pair & o.is_truth


def _right(place: int) -> Column:
    """Trusted masks that count and are found at this place of `RIGHT_IOUS`, by their own label."""
    return lambda o: o.is_truth & (o.right[:, place] > 0)


def _missing(o: Objects) -> Flags:
    return o.is_truth & ~o.is_pair


FIGURES: Mapping[str, tuple[Column, Column]] = {
    # panoptic quality (Kirillov et al., arXiv 1801.00868, eq. 1)
    QUALITY: (
        lambda o: o.is_truth * o.right[:, 0],
        lambda o: (1.0 * o.is_truth + o.is_found) / 2,
    ),
    MATCHED_IOU: (lambda o: o.iou * _counted(o), _counted),
    BOUNDARY_IOU: (lambda o: o.boundary_iou * _counted(o), _counted),
    **{
        f"{name}@{iou}": (_right(place), whole)
        for place, iou in enumerate(RIGHT_IOUS)
        for name, whole in (
            ("precision", lambda o: o.is_found),
            ("recall", lambda o: o.is_truth),
        )
    },
    MISSING: (_missing, lambda o: o.is_truth),
    MISSING_SMALL: (lambda o: _missing(o) & o.is_small, lambda o: o.is_truth & o.is_small),
    MISSING_LARGER: (lambda o: _missing(o) & ~o.is_small, lambda o: o.is_truth & ~o.is_small),
    EXTRA: (lambda o: o.is_found & ~o.is_pair, lambda o: o.is_found),
    WRONG_LABEL: (lambda o: _counted(o) & ~o.is_same, _counted),
    SIZE: (lambda o: o.log_ratio * _counted(o), _counted),
}
"""What is summed over objects, and what it is divided by. An object answered under a wrong label
counts for `MATCHED_IOU` and `BOUNDARY_IOU`, but is no right one for precision and recall."""


@dataclass(frozen=True, slots=True, eq=False)
class Scorecard:
    """Figures of one annotator or model version.

    Attributes:
        who: The annotator's id, or the model's version.
        images: Compared.
        objects: Trusted masks on them.
        masks: Answered ones.
        figures: By name, with 95 % intervals; None: too few.
        average: COCO's AP and AR; None: too few, or not looked at.
    """

    who: str
    images: int
    objects: int
    masks: int
    figures: Mapping[str, Interval | None]
    average: AveragePrecision | None

    def value(self, name: str) -> float | None:
        """A figure without its interval."""
        found = self.figures[name]
        return None if found is None else found.value

    @property
    def ap(self) -> float | None:
        """COCO's average precision; None: too few, or not asked for."""
        return None if self.average is None else self.average.ap

    @property
    def ar(self) -> float | None:
        """COCO's average recall; None as for `ap`."""
        return None if self.average is None else self.average.ar

    def as_json(self, with_average: bool = True) -> dict[str, Any]:
        """Return all figures by name; None: too few."""
        average = {"ap": self.ap, "ar": self.ar}
        return {
            "who": self.who,
            "images": self.images,
            "objects": self.objects,
            "masks": self.masks,
            **as_json(self.figures),
        } | (average if with_average else {})


def shown(found: Interval | float | None, form: str = ".2f") -> str:
    """A figure for people, without its interval.

    Args:
        found: None: too few to tell.
        form: As `format` takes it.
    """
    if found is None:
        return "too few"
    return format(found.value if isinstance(found, Interval) else found, form)


def scorecard(who: str, images: Sequence[ComparedImage]) -> Scorecard:
    """The figures of some compared images, without AP and AR, which take most of the time.

    Args:
        who: Whose answers they are.
        images: Compared.
    """
    return _card(who, len(images), Objects.of(images), _seconds(images))


def scorecards(who: str, images: Sequence[ComparedImage]) -> tuple[Scorecard, dict[str, Scorecard]]:
    """All figures of some compared images, and those of each label of the trusted masks.

    Args:
        who: Whose answers they are.
        images: Compared.
    """
    average = average_precision(
        [image.truth for image in images],
        [image.answer.masks for image in images],
        [image.answer.scores for image in images],
    )
    objects = Objects.of(images)
    places: dict[str, list[int]] = defaultdict(list)
    for place, image in enumerate(images):
        for label in {mask.label for mask in image.truth if mask.label is not None}:
            places[label].append(place)
    labels = {
        label: _averaged(
            _card(who, len(places[label]), objects.on(places[label]).only(label)),
            None if average is None else average.by_label.get(label),
        )
        for label in sorted(places)
    }
    return _averaged(_card(who, len(images), objects, _seconds(images)), average), labels


def by_week(who: str, images: Sequence[ComparedImage]) -> dict[str, Scorecard]:
    """A `scorecard` for each ISO week in which there were answers, as `2026-W48`, oldest first."""
    weeks: dict[str, list[ComparedImage]] = defaultdict(list)
    for image in images:
        if image.answer.at is not None:
            weeks[image.answer.at.strftime("%G-W%V")].append(image)
    return {week: scorecard(who, weeks[week]) for week in sorted(weeks)}


def _card(who: str, n_images: int, objects: Objects, seconds: Interval | None = None) -> Scorecard:
    figures = {
        name: _ratio(
            _summed(objects, part, n_images),
            _summed(objects, whole, n_images),
            Scale.REAL if name == SIZE else Scale.SHARE,
        )
        for name, (part, whole) in FIGURES.items()
    }
    return Scorecard(
        who=who,
        images=n_images,
        objects=int(objects.is_truth.sum()),
        masks=int(objects.is_found.sum()),
        figures=figures | {SECONDS: seconds},
        average=None,
    )


def _averaged(card: Scorecard, average: AveragePrecision | None) -> Scorecard:
    is_enough = card.images >= MIN_IMAGES and card.objects >= MIN_OBJECTS
    return replace(card, average=average) if is_enough else card


def _summed(objects: Objects, column: Column, n_images: int) -> Values:
    """Sums by image, shape (images,)."""
    values = column(objects).astype(np.float64)
    return np.bincount(objects.image, values, n_images).astype(np.float64)


def _seconds(images: Sequence[ComparedImage]) -> Interval | None:
    timed = [image for image in images if image.answer.seconds is not None]
    return _ratio(
        np.array([image.answer.seconds for image in timed], float),
        np.array([len(image.answer.masks) for image in timed], float),
        Scale.POSITIVE,
    )


def _ratio(parts: Values, wholes: Values, scale: Scale) -> Interval | None:
    if np.count_nonzero(wholes) < MIN_IMAGES or wholes.sum() < MIN_OBJECTS:
        return None
    return ratio_interval(parts, wholes, scale)
