"""How much people agree where several have labelled one image; none of them is taken for right."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from sklearn.metrics import cohen_kappa_score

from sam_backend.metrics.comparison import Answer, compare_images
from sam_backend.metrics.intervals import Interval
from sam_backend.metrics.scorecards import (
    BOUNDARY_IOU,
    MATCHED_IOU,
    MIN_OBJECTS,
    QUALITY,
    WRONG_LABEL,
    scorecard,
)

_OF_SCORECARD = {
    "agreement": QUALITY,
    "matched_iou": MATCHED_IOU,
    "boundary_iou": BOUNDARY_IOU,
    "other_label": WRONG_LABEL,
}
"""Figures of a scorecard that are the same whoever is taken for the truth, by their names here."""
FIGURES = (*_OF_SCORECARD, "label_kappa")
"""Names of the figures of an `Agreement`, in a table's order."""


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """Two people, on the images that both have labelled.

    Attributes:
        people: Their ids.
        images: That both have labelled.
        agreement: Panoptic quality of one's masks against the other's.
        matched_iou: Mean IoU of matched masks.
        boundary_iou: Mean boundary IoU of matched masks.
        other_label: Share of the matched masks with another label.
        label_kappa: Cohen's kappa of the labels of matched masks (1: always the same, 0: as by
            chance); None: too few, or only one label.

    A figure is None where it would rest on too little.
    """

    people: tuple[str, str]
    images: int
    agreement: Interval | None
    matched_iou: Interval | None
    boundary_iou: Interval | None
    other_label: Interval | None
    label_kappa: float | None

    @property
    def figures(self) -> dict[str, Interval | float | None]:
        """The figures by `FIGURES`."""
        return {name: getattr(self, name) for name in FIGURES}


def agreements(answers: Sequence[Answer], processes: int = 2) -> list[Agreement]:
    """The agreement of each two people that have an image in common; the least first.

    Args:
        answers: Answers of people; the last one that a person gave to an image counts.
        processes: At the most.

    Raises:
        InvalidInputError: Masks of an image are not of one size.
    """
    by_image: dict[str, dict[str, Answer]] = defaultdict(dict)
    for answer in answers:
        by_image[answer.image][answer.who] = answer
    pairs: dict[tuple[str, str], list[tuple[Answer, Answer]]] = defaultdict(list)
    for given in by_image.values():
        for a, b in combinations(sorted(given), 2):
            pairs[a, b].append((given[a], given[b]))
    found = [_agreement(people, both, processes) for people, both in sorted(pairs.items())]
    return sorted(found, key=lambda one: _value(one.agreement))


def _agreement(
    people: tuple[str, str], both: Sequence[tuple[Answer, Answer]], processes: int
) -> Agreement:
    images = compare_images([a.masks for a, _ in both], [b for _, b in both], processes)
    card = scorecard(people[1], images)
    labels = [
        (str(one.truth.label), str(one.found.label))
        for image in images
        for one in image.objects
        if one.truth is not None and one.found is not None
    ]
    kappa = None
    if len(labels) >= MIN_OBJECTS and len({label for pair in labels for label in pair}) > 1:
        kappa = float(cohen_kappa_score(*map(list, zip(*labels, strict=True))))
    figures = {name: card.figures[figure] for name, figure in _OF_SCORECARD.items()}
    return Agreement(people, len(both), **figures, label_kappa=kappa)


def _value(found: Interval | None) -> float:
    return 1.0 if found is None else found.value
