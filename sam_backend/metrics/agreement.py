"""How much people agree where several have labelled one image; none of them is taken for right."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

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
    told,
)

_FIGURES = {
    QUALITY: "agreement",
    MATCHED_IOU: MATCHED_IOU,
    BOUNDARY_IOU: BOUNDARY_IOU,
    WRONG_LABEL: "other label",
}
"""Those of a scorecard that are the same whoever is taken for the truth, and their names here."""


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """Two people, on the images that both have labelled.

    Attributes:
        people: Their ids.
        images: That both have labelled.
        figures: By name, with 95 % intervals; None: too few.
        kappa: Cohen's, of the labels of matched masks (1: always the same, 0: as by chance); None:
            too few, or only one label.
    """

    people: tuple[str, str]
    images: int
    figures: Mapping[str, Interval | None]
    kappa: float | None

    def as_json(self) -> dict[str, Any]:
        """All of it; figures that rest on too little say so."""
        return {
            "people": list(self.people),
            "images": self.images,
            **told({**self.figures, "label kappa": self.kappa}),
        }


def agreements(answers: Sequence[Answer], processes: int = 2) -> list[Agreement]:
    """The agreement of each two people that have an image in common; the least first.

    Args:
        answers: Of people; of several to one image by one person the last one counts.
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
    return sorted(found, key=lambda one: _value(one.figures[_FIGURES[QUALITY]]))


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
    figures = {name: card.figures[figure] for figure, name in _FIGURES.items()}
    return Agreement(people, len(both), figures, kappa)


def _value(found: Interval | None) -> float:
    return 1.0 if found is None else found.value
