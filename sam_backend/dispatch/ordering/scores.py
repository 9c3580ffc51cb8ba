"""How much labelling a task would help, seen from four sides, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

from sam_backend.errors import InvalidInputError
from sam_backend.metrics.diversity import Features, standardised, unit

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_NEIGHBOURS = 20  # as in TypiClust
_FARTHEST = 500  # after so many picks the rest follows by distance
_PENALTY = 0.1  # strong: there are more features than labelled images
_EARLY = 2  # labelled images a kind, until when typical ones come first


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each side counts; only their proportions matter.

    Attributes:
        uncertainty: The model's prediction has a low score.
        gap: Much of the picture is without a sure mask.
        diversity: Typical of a kind while little is labelled, later unlike what is labelled.
        freshness: The task is new.
    """

    uncertainty: float
    gap: float
    diversity: float
    freshness: float

    def __post_init__(self) -> None:
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        if min(told.values()) < 0 or not sum(told.values()):
            raise InvalidInputError(f"weights are not negative, and not all 0, unlike {told}")


STAGE_WEIGHTS = {
    "1": Weights(uncertainty=0.2, gap=0.2, diversity=0.5, freshness=0.1),
    "2": Weights(uncertainty=0.25, gap=0.4, diversity=0.25, freshness=0.1),
    "3": Weights(uncertainty=0.5, gap=0.1, diversity=0.3, freshness=0.1),
}
"""By stage: accuracy wants all kinds of images, coverage what is missing, scale what is unsure."""


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """What is known of tasks that wait, shape (N,) each; NaN: unknown.

    Attributes:
        uncertainty: 1 less the prediction's score.
        gap: Share of the picture that no sure mask covers.
        diversity: 1 for the task that should come first, 0 for the last.
        freshness: 1 for the newest, 0 for the oldest.
    """

    uncertainty: Floats
    gap: Floats
    diversity: Floats
    freshness: Floats

    def weighted(self, weights: Weights) -> tuple[Floats, Floats]:
        """The sum, 0 to 1, and what each side adds beyond the average task, shape (N, 4).

        Where something is unknown it counts as for the average task, and where it is unknown of all
        it does not count.
        """
        columns = [np.asarray(getattr(self, field.name)) for field in fields(weights)]
        told = np.array([getattr(weights, field.name) for field in fields(weights)])
        known = np.array([bool(np.isfinite(column).any()) for column in columns])
        means = [np.nanmean(c) if k else 0.0 for c, k in zip(columns, known, strict=True)]
        filled = np.stack(
            [np.where(np.isfinite(c), c, mean) for c, mean in zip(columns, means, strict=True)],
            axis=1,
        )
        share = told * known
        share = share / share.sum() if share.sum() else np.zeros_like(share)
        return filled @ share, (filled - np.array(means)) * share


def typicality(features: Features) -> Floats:
    """How near an image is to those most like it: 1 / mean distance, shape (N,).

    G. Hacohen et al., "Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets",
    2022 (TypiClust).
    """
    points = unit(features)
    k = min(_NEIGHBOURS, len(points) - 1)
    if k < 1:
        return np.ones(len(points))
    distances, _ = NearestNeighbors(n_neighbors=k + 1).fit(points).kneighbors(points)
    found: Floats = 1 / np.maximum(distances[:, 1:].mean(axis=1), 1e-6)
    return found


def diversity_order(
    features: Features, kinds: Ints, is_labelled: Bools
) -> tuple[list[int], list[bool]]:
    """In which order images that are not labelled should come, and which as typical ones.

    While little is labelled, the most typical of each kind, kinds with the fewest labelled first;
    later the image farthest from all that is labelled or came before (k-center: O. Sener and
    S. Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach", 2018).

    Args:
        features: Features of all images, shape (N, C).
        kinds: Kinds of all images, shape (N,).
        is_labelled: Shape (N,).

    Returns:
        Indexes of the images that are not labelled, and for each whether it comes as typical.
    """
    waiting = np.flatnonzero(~is_labelled)
    if not len(waiting):
        return [], []
    if is_labelled.sum() < _EARLY * len(np.unique(kinds)):
        order = _typical_first(features, kinds, is_labelled)
        return order, [True] * len(order)
    order = _farthest_first(unit(features), is_labelled)
    return order, [False] * len(order)


def _typical_first(features: Features, kinds: Ints, is_labelled: Bools) -> list[int]:
    typical = typicality(features)
    queues: dict[int, list[int]] = {}
    for kind in np.unique(kinds):
        own = np.flatnonzero((kinds == kind) & ~is_labelled)
        queues[int(kind)] = own[np.argsort(-typical[own], kind="stable")].tolist()
    counts = {kind: int((is_labelled & (kinds == kind)).sum()) for kind in queues}
    sizes = {kind: int((kinds == kind).sum()) for kind in queues}
    order: list[int] = []
    while any(queues.values()):
        open_ = [kind for kind, queue in queues.items() if queue]
        kind = min(open_, key=lambda one: (counts[one], -sizes[one], one))
        order.append(queues[kind].pop(0))
        counts[kind] += 1
    return order


def _farthest_first(points: Features, is_labelled: Bools) -> list[int]:
    waiting = np.flatnonzero(~is_labelled)
    near, _ = NearestNeighbors(n_neighbors=1).fit(points[is_labelled]).kneighbors(points[waiting])
    far = near[:, 0]
    order: list[int] = []
    for _ in range(min(_FARTHEST, len(waiting))):
        best = int(far.argmax())
        order.append(best)
        gaps = np.linalg.norm(points[waiting] - points[waiting[best]], axis=1)
        far = np.minimum(far, gaps)
        far[best] = -1.0
    left = np.argsort(-far, kind="stable")[: len(waiting) - len(order)]
    return [int(waiting[place]) for place in (*order, *left.tolist())]


def expected_presence(
    features: Features,
    is_labelled: Bools,
    contents: Sequence[Mapping[str, int]],
    names: Sequence[str],
) -> Floats:
    """How likely an image that is not labelled holds something, learned from those that are.

    A logistic regression for each name, in which images with and without it weigh the same: a rare
    thing is told from the rest by few directions of the features, which distances between whole
    feature vectors drown (measured in `benchmarks/ordering.py`).

    Args:
        features: Features of all images, shape (N, C).
        is_labelled: Shape (N,).
        contents: Objects by name, of the labelled images in their order.
        names: Those to tell about.

    Returns:
        0 to 1; 0 for labelled ones, and for a name that no labelled image holds; 1 for one that all
        hold, shape (N, len(names)).
    """
    found = np.zeros((len(features), len(names)))
    waiting = np.flatnonzero(~is_labelled)
    if not len(contents) or not len(waiting):
        return found
    points = standardised(features)
    for column, name in enumerate(names):
        holds = np.array([one.get(name, 0) > 0 for one in contents])
        if holds.all() or not holds.any():
            found[waiting, column] = float(holds.all())
            continue
        model = LogisticRegression(C=_PENALTY, class_weight="balanced", max_iter=1000)
        model.fit(points[is_labelled], holds)
        found[waiting, column] = model.predict_proba(points[waiting])[:, 1]
    return found
