"""`similar`: what looks like masks that people have submitted, with their labels."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from sam_backend.errors import InvalidInputError, NoExemplarError, suggestion, unknown_names
from sam_backend.masks.overlap import share_inside
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.sam.device import Priority
from sam_backend.sam.types import PointMask, ScanThresholds
from sam_backend.semi_automatic.exemplars import Exemplar, split_names
from sam_backend.semi_automatic.proposers.base import Place, Proposer, Subject, fingerprint_of
from sam_backend.semi_automatic.similarity import (
    OTHER_IMAGE,
    SAME_IMAGE,
    ImageLook,
    Looks,
    Weights,
    likeness,
    worth,
)
from sam_backend.serving.served_model import ServedModel

_DEFAULTS: Mapping[str, Any] = {"like": (), "min_likeness": -0.5, "points": 400}
_MAX_OVERLAP = 0.6  # of the smaller one of two masks
_MAX_POINTS = 4096

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Kind:
    """Exemplars with the same labels, as seen from one image.

    Attributes:
        labels: Their labels.
        groups: What they look like: those of the same image, and those of others.
    """

    labels: Labels
    groups: tuple[tuple[Looks, Weights], ...]

    def likeness(self, looks: Looks) -> npt.NDArray[np.float32]:
        """Log-odds that masks are of this kind, shape (N,)."""
        odds = [likeness(looks, exemplars, weights) for exemplars, weights in self.groups]
        return np.asarray(np.max(odds, axis=0), np.float32)


class Similar(Proposer):
    """All like this one: masks that resemble exemplars.

    Exemplars are masks that people have submitted, on the image itself or elsewhere in the project
    (`semi_automatic.exemplars`). Points that look like them are prompts; of their masks those stay
    that look like an exemplar, too, the most similar and stable ones first, and none that lies on
    another one.

    Parameters: `like` names the exemplars (a label, or a task, annotation or region; all labels
    without), `min_likeness` is the least log-odds of a mask (0: as likely as not), and `points` are
    asked for each label at the most.
    """

    name: ClassVar[str] = "similar"

    def __init__(self, told: Mapping[str, Any], place: Place) -> None:
        self._told = told
        self._place = place
        self._lock = threading.RLock()
        self._scan = AutomaticSettings.of(place.card.automatic)
        self._looks: dict[str, Looks] = {}
        self._places, labels = split_names(told["like"])
        # exemplars of a place that is named count whatever their label, and no others
        self._wanted = frozenset(labels or (() if self._places else place.labels))

    @classmethod
    @override
    def of(cls, parameters: Mapping[str, Any], place: Place) -> Self:
        if unknown := parameters.keys() - _DEFAULTS.keys():
            raise unknown_names("proposer 'similar'", unknown, _DEFAULTS)
        told = {**_DEFAULTS, **parameters}
        told["like"] = _names(told["like"], place.labels)
        least, points = told["min_likeness"], told["points"]
        if not isinstance(least, int | float) or isinstance(least, bool):
            raise InvalidInputError(f"min_likeness must be a number, not {least!r}")
        if not isinstance(points, int) or not 1 <= points <= _MAX_POINTS:
            raise InvalidInputError(f"points must be 1 to {_MAX_POINTS}, not {points!r}")
        return cls(told, place)

    @property
    @override
    def fingerprint(self) -> str:
        exemplars = sorted(one.key for one in self._of_project)
        return fingerprint_of(self.name, {**self._told, "exemplars": exemplars})

    @override
    def key(self, subject: Subject) -> str:
        own = sorted(one.key for one in self._own(subject))
        return fingerprint_of(self.fingerprint, own)

    @override
    def check(self) -> None:
        if not self._of_project:
            raise self._no_exemplar()

    @override
    def notes(self, subject: Subject) -> list[str]:
        known = {label for one in self._exemplars(subject) for label in one.labels[:1]}
        lacking = [label for label in self._place.labels if label in self._wanted - known]
        if not lacking:
            return []
        return [
            f"nothing is proposed for {_listing(lacking)}: submit an annotation with a mask of "
            "that label first"
        ]

    @override
    def propose(self, model: ServedModel, subject: Subject) -> list[MaskRecord]:
        look = self._look(model, subject)
        kinds = self._kinds(model, subject, look)
        if not kinds:
            raise self._no_exemplar()
        records = self._asked(model, subject, _points(look, kinds, self._told["points"]))
        if not records:
            return []
        odds = _odds(kinds, look.of([one.rle for one in records]))
        ranks = odds + [worth(one) for one in records]
        alike = np.flatnonzero(odds >= self._told["min_likeness"])
        return _apart([records[i] for i in alike[np.argsort(-ranks[alike], kind="stable")]])

    @override
    def labels(
        self, model: ServedModel, subject: Subject, records: Sequence[MaskRecord]
    ) -> list[Labels]:
        if not records:
            return []
        look = self._look(model, subject)
        kinds = self._kinds(model, subject, look)
        looks = look.of([one.rle for one in records])
        best = np.argmax([kind.likeness(looks) for kind in kinds], axis=0)
        return [kinds[index].labels for index in best]

    @cached_property
    def _read(self) -> tuple[Exemplar, ...]:
        found = self._place.exemplars(self._told["like"])
        return tuple(one for one in found if self._places or self._is_wanted(one.labels))

    @property
    def _of_project(self) -> tuple[Exemplar, ...]:
        with self._lock:  # read once, however many tasks begin at once
            return self._read

    def _is_wanted(self, labels: Labels) -> bool:
        if not self._wanted:  # a project without labels
            return not self._places
        return bool(labels) and labels[0] in self._wanted

    def _own(self, subject: Subject) -> list[Exemplar]:
        """Exemplars that lie on the image itself."""
        return [
            Exemplar(mask.labels, mask.rle, subject.digest, lambda: subject.pixels)
            for mask in subject.submitted
            if self._is_wanted(mask.labels)
        ]

    def _exemplars(self, subject: Subject) -> list[Exemplar]:
        every = (*self._own(subject), *self._of_project)
        return list({one.key: one for one in every}.values())

    def _kinds(self, model: ServedModel, subject: Subject, look: ImageLook) -> list[_Kind]:
        here: dict[Labels, list[Looks]] = {}
        elsewhere: dict[Labels, list[Looks]] = {}
        for one in self._exemplars(subject):
            if one.image_digest == subject.digest and one.rle.size == subject.size:
                here.setdefault(one.labels, []).append(look.of([one.rle]))
            else:
                elsewhere.setdefault(one.labels, []).append(self._look_of(model, one))
        return [
            _Kind(
                labels,
                tuple(
                    (_together(group[labels]), weights)
                    for group, weights in ((here, SAME_IMAGE), (elsewhere, OTHER_IMAGE))
                    if labels in group
                ),
            )
            for labels in dict.fromkeys((*here, *elsewhere))
        ]

    def _look_of(self, model: ServedModel, exemplar: Exemplar) -> Looks:
        """Look at an exemplar on its own image, once."""
        with self._lock:
            known = self._looks.get(exemplar.key)
            if known is None:
                pixels = exemplar.pixels()
                embedding = model.embedding_of(
                    exemplar.image_digest, lambda: pixels, Priority.BACKGROUND
                )
                known = ImageLook(embedding, pixels).of([exemplar.rle])
                self._looks[exemplar.key] = known
            return known

    @staticmethod
    def _look(model: ServedModel, subject: Subject) -> ImageLook:
        embedding = model.embedding_of(subject.digest, lambda: subject.pixels, Priority.BACKGROUND)
        return ImageLook(embedding, subject.pixels)

    def _asked(
        self, model: ServedModel, subject: Subject, points: npt.NDArray[np.float64]
    ) -> list[MaskRecord]:
        """All masks that points may mean and that the generator would keep."""
        embedding = model.embedding_of(subject.digest, lambda: subject.pixels, Priority.BACKGROUND)
        thresholds = ScanThresholds(self._scan.predicted_iou or None, self._scan.stability or None)
        return [
            self._record(mask, points, model, subject)
            for mask in model.scan(embedding, points, thresholds)
            if mask.area_px
        ]

    def _record(
        self,
        mask: PointMask,
        points: npt.NDArray[np.float64],
        model: ServedModel,
        subject: Subject,
    ) -> MaskRecord:
        x, y = points[mask.point].tolist()
        x0, y0, x1, y1 = mask.box.tolist()
        height, width = subject.size
        return MaskRecord(
            rle=mask.rle,
            box=(x0, y0, x1, y1),
            area_px=mask.area_px,
            predicted_iou=mask.predicted_iou,
            stability=mask.stability,
            point=(x, y),
            mask_index=mask.mask_index,
            crop=(0, 0, width, height),
            model_version=model.model_version,
            settings=self.fingerprint,
            image_digest=subject.digest,
        )

    def _no_exemplar(self) -> NoExemplarError:
        wanted = [label for label in self._place.labels if label in self._wanted]
        of = f" of {_listing(wanted)}" if wanted else ""
        return NoExemplarError(
            f"proposer 'similar' needs an example: nobody has submitted a mask{of} yet. Draw one, "
            "submit the annotation, and ask for predictions again"
        )


def _names(told: object, labels: Sequence[str]) -> tuple[str, ...]:
    """Return what `like` names; a single name, and a task by its number, need no list.

    Raises:
        InvalidInputError: It names nothing, or a label that the config does not have.
    """
    names = told if isinstance(told, list | tuple) else [told]
    if not all(isinstance(name, str | int) and not isinstance(name, bool) for name in names):
        raise InvalidInputError(
            f"like must be a list of labels, tasks (12), annotations (12/34) or regions "
            f"(12/34/ID), not {told!r:.60}"
        )
    found = tuple(map(str, names))
    for label in split_names(found)[1]:
        if labels and label not in labels:
            raise InvalidInputError(
                f"like names {label!r}, which is no label of masks{suggestion(label, labels)} "
                f"(there are: {', '.join(map(repr, labels))})"
            )
    return found


def _points(look: ImageLook, kinds: Sequence[_Kind], most: int) -> npt.NDArray[np.float64]:
    """Points to ask, shape (N, 2), each once."""
    found = [
        look.points(exemplars, weights, max(1, most // len(kind.groups)))
        for kind in kinds
        for exemplars, weights in kind.groups
    ]
    return np.unique(np.concatenate(found), axis=0)


def _odds(kinds: Sequence[_Kind], looks: Looks) -> npt.NDArray[np.float32]:
    """Log-odds that masks are of the kind that they resemble most, shape (N,)."""
    return np.asarray(np.max([kind.likeness(looks) for kind in kinds], axis=0), np.float32)


def _apart(records: Sequence[MaskRecord]) -> list[MaskRecord]:
    """The masks that no earlier one shares too much with."""
    kept: list[MaskRecord] = []
    for one in records:
        others = [other.rle for other in kept]
        inside, around = share_inside([one.rle], others), share_inside(others, [one.rle])
        if max(inside.max(initial=0), around.max(initial=0)) <= _MAX_OVERLAP:
            kept.append(one)
    return kept


def _together(looks: Sequence[Looks]) -> Looks:
    return Looks(
        np.concatenate([one.vectors for one in looks]),
        np.concatenate([one.colours for one in looks]),
        np.concatenate([one.log_shares for one in looks]),
    )


def _listing(labels: Sequence[str]) -> str:
    """Labels in a sentence."""
    word = "label" if len(labels) == 1 else "labels"
    return f"{word} {', '.join(map(repr, labels))}"
