"""From all that is known of a project's tasks to the order in which people should see them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans

from sam_backend.datasets.left_out import LeftOut
from sam_backend.dispatch.ordering.contents import SIZES
from sam_backend.dispatch.ordering.groups import KIND, LABEL, SIZE, Group, groups_of, injections
from sam_backend.dispatch.ordering.scores import Sides, Weights, diversity_order, expected_presence
from sam_backend.metrics.diversity import Features, whitened
from sam_backend.store.annotation_contents import Contents
from sam_backend.store.task_orders import TaskOrder

_DAY_S = 86400.0
_DIRECTIONS = 32  # of the features, that kinds of images are told apart by
_STARTS = 20  # of k-means; the best of 4 split 14 pictures at a chance difference
_IMAGES_A_DIRECTION = 10  # at the least: in as many as there are images all are equally far apart
SIDES = ("uncertainty", "gap", "diversity", "freshness")


@dataclass(frozen=True, slots=True, eq=False)
class KnownTask:
    """What is known of one task.

    Attributes:
        number: Number of the task.
        made_at: When it came; None if unknown.
        contents: What each annotation says; empty: it is not labelled.
        waits: It wants more annotations than it has.
        features: Features of its image, shape (C,); None: unknown.
        score: Score of its prediction, 0 to 1; None without.
        coverage: Share of the picture under sure and drawn masks; None: unknown.
    """

    number: int
    made_at: datetime | None
    contents: tuple[Contents, ...]
    waits: bool
    features: npt.NDArray[np.float32] | None
    score: float | None
    coverage: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """A project's tasks with the groups they are of.

    Attributes:
        tasks: All of them.
        kinds: Kind of each task's image, shape (N,); -1: unknown.
        groups: What is labelled of each label, size and kind.
        unread: Objects that count by their label only, for their size is unknown.
    """

    tasks: Sequence[KnownTask]
    kinds: npt.NDArray[np.int64]
    groups: tuple[Group, ...]
    unread: LeftOut = field(default_factory=LeftOut)


def kinds_of(
    features: Sequence[npt.NDArray[np.float32] | None], n_kinds: int
) -> npt.NDArray[np.int64]:
    """Clusters of what images look like, shape (N,); -1: unknown.

    Not by k-center, which makes kinds of single oddities.

    Args:
        features: Features of each task's image, shape (C,); None: unknown.
        n_kinds: At the most.
    """
    kinds = np.full(len(features), -1, np.int64)
    known = [place for place, one in enumerate(features) if one is not None]
    if known:
        # whitened: what sets a rare kind apart is no large part of the features
        n_directions = max(2, min(_DIRECTIONS, len(known) // _IMAGES_A_DIRECTION))
        points = whitened(np.stack([one for one in features if one is not None]), n_directions)
        n_kinds = min(n_kinds, len(np.unique(points, axis=0)))
        kinds[known] = KMeans(n_kinds, n_init=_STARTS, random_state=0).fit_predict(points)
    return kinds


def survey(
    tasks: Sequence[KnownTask], labels: Sequence[str], kinds: npt.NDArray[np.int64]
) -> Survey:
    """Count what is labelled.

    Args:
        tasks: All of the project.
        labels: Labels of its label config; others that were drawn are added.
        kinds: Kinds of their images (`kinds_of`), shape (N,).
    """
    drawn, sizes = Counter[str](dict.fromkeys(labels, 0)), Counter[str](dict.fromkeys(SIZES, 0))
    unread = LeftOut()
    for task in tasks:
        for one in task.contents:
            drawn.update(one.labels)
            sizes.update(one.sizes)
            for reason, told in one.unread:
                unread.add(reason, f"task {task.number}, {told}")
    pool, labelled = Counter[str](), Counter[str]()
    for task, kind in zip(tasks, kinds.tolist(), strict=True):
        if kind >= 0:
            pool[str(kind)] += 1
            labelled[str(kind)] += bool(task.contents)
    ordered = {name: labelled[name] for name in sorted(pool, key=int)}
    groups = (
        *groups_of(LABEL, drawn),
        *groups_of(SIZE, sizes),
        *groups_of(KIND, ordered, {name: pool[name] for name in ordered}),
    )
    return Survey(tasks, kinds, groups, unread)


def plan_order(
    found: Survey, weights: Weights, injected_share: float, at: datetime
) -> list[TaskOrder]:
    """The tasks that wait, most urgent first.

    Args:
        found: The project.
        weights: Weights of the sides.
        injected_share: Share of the order that goes to under-represented groups, 0 to 1.
        at: Now.
    """
    tasks = found.tasks
    waiting = np.array([place for place, task in enumerate(tasks) if task.waits], np.int64)
    if not len(waiting):
        return []
    sides, is_typical = _sides(found, waiting)
    sums, parts = sides.weighted(weights)
    ranking = np.argsort(-sums, kind="stable")
    usual = [int(place) for place in ranking]
    picks = injections(
        found.groups, _members(found)[waiting], sums, round(injected_share * len(waiting))
    )
    for_group = dict(picks)
    order = _merged(usual, [place for place, _ in picks], injected_share)
    orders = []
    for position, place in enumerate(order):
        task = tasks[waiting[place]]
        if place in for_group:
            reason = _lacking(found.groups[for_group[place]])
        else:
            reason = _reason(found, int(waiting[place]), parts[place], bool(is_typical[place]))
        scores = {
            name: float(value)
            for name in SIDES
            if np.isfinite(value := getattr(sides, name)[place])
        }
        orders.append(TaskOrder(task.number, 1 - position / len(order), reason, scores, at))
    return orders


def _features(tasks: Sequence[KnownTask], places: Iterable[int]) -> Features:
    """Of tasks whose images are known, shape (N, C)."""
    found = [tasks[place].features for place in places]
    return np.stack([one for one in found if one is not None])


def _sides(found: Survey, waiting: npt.NDArray[np.int64]) -> tuple[Sides, npt.NDArray[np.bool_]]:
    tasks = [found.tasks[place] for place in waiting]
    unknown = float("nan")
    made = np.array([unknown if t.made_at is None else t.made_at.timestamp() for t in tasks])
    span = np.nanmax(made) - np.nanmin(made) if np.isfinite(made).any() else 0.0
    is_told = span >= _DAY_S  # tasks of one import are equally new
    freshness = (made - np.nanmin(made)) / span if is_told else np.full(len(tasks), unknown)
    diversity = np.full(len(found.tasks), unknown)
    is_typical = np.zeros(len(found.tasks), bool)
    known = np.flatnonzero(found.kinds >= 0)
    if len(known):
        features = _features(found.tasks, known)
        is_labelled = np.array([bool(found.tasks[place].contents) for place in known])
        order, typical = diversity_order(features, found.kinds[known], is_labelled)
        places = known[order]
        diversity[places] = 1 - np.arange(len(order)) / max(1, len(order))
        is_typical[places] = typical
    sides = Sides(
        np.array([unknown if task.score is None else 1 - task.score for task in tasks]),
        np.array([unknown if task.coverage is None else 1 - task.coverage for task in tasks]),
        diversity[waiting],
        freshness,
    )
    return sides, is_typical[waiting]


def _members(found: Survey) -> npt.NDArray[np.float64]:
    """How much each task is expected to bring of each group, shape (N, G)."""
    members = np.zeros((len(found.tasks), len(found.groups)))
    known = np.flatnonzero(found.kinds >= 0)
    if not len(known):
        return members
    features = _features(found.tasks, known)
    is_labelled = np.array([bool(found.tasks[place].contents) for place in known])
    labelled = [found.tasks[place] for place in known if found.tasks[place].contents]
    for what in (LABEL, SIZE):
        columns = [place for place, group in enumerate(found.groups) if group.what == what]
        if not columns:  # a config without labels
            continue
        names = [found.groups[place].name for place in columns]
        held = [_held(task, what) for task in labelled]
        members[np.ix_(known, np.array(columns))] = expected_presence(
            features, is_labelled, held, names
        )
    for column, group in enumerate(found.groups):
        if group.what == KIND:
            members[found.kinds == int(group.name), column] = 1.0
    return members


def _held(task: KnownTask, what: str) -> Counter[str]:
    held = Counter[str]()
    for one in task.contents:
        held.update(one.labels if what == LABEL else one.sizes)
    return held


def _merged(usual: Sequence[int], picks: Sequence[int], share: float) -> list[int]:
    """Picks spread among the others, so many of each stretch; everything once."""
    order: list[int] = []
    chosen, left = set(picks), list(reversed(picks))
    rest = [place for place in usual if place not in chosen]
    for place in rest:
        while left and len(chosen) - len(left) < share * (len(order) + 1):
            order.append(left.pop())
        order.append(place)
    return [*order, *reversed(left)]


def _lacking(group: Group) -> str:
    return (
        f"{group.what} {group.name} is rare among what is labelled: {group.share:.1%}, "
        f"{group.wanted:.1%} wanted"
    )


def _reason(found: Survey, place: int, parts: npt.NDArray[np.float64], is_typical: bool) -> str:
    task = found.tasks[place]
    if parts.max() <= 1e-9:  # on no side more than the average task
        return "next in order"
    side = SIDES[int(parts.argmax())]
    if side == "uncertainty" and task.score is not None:
        return f"the model is unsure: score {task.score:.2f}"
    if side == "gap" and task.coverage is not None:
        return f"{1 - task.coverage:.0%} of the picture has no sure mask"
    if side == "diversity" and found.kinds[place] >= 0:
        if not is_typical:
            return "unlike what is labelled"
        return f"typical of image kind {found.kinds[place]}"
    if side == "freshness" and task.made_at is not None:
        return f"new: of {task.made_at:%Y-%m-%d}"
    return "next in order"


@dataclass(frozen=True, slots=True)
class GroupChange:
    """What was and is labelled of a group of masks or images.

    Attributes:
        what: What the group is one of: `LABEL`, `SIZE` or `KIND`.
        name: Name of the group.
        wanted: Share that is wanted, as it was before.
        count_before: Number that was labelled before; 0 without an earlier survey.
        share_before: Share that was labelled before, likewise.
        count: Number that is labelled.
        share: Share that is labelled.
        under_represented_before: Too little was labelled; True without an earlier survey.
        under_represented: Too little is labelled.
    """

    what: str
    name: str
    wanted: float
    count_before: float
    share_before: float
    count: float
    share: float
    under_represented_before: bool
    under_represented: bool


def change_table(before: Sequence[Group], after: Sequence[Group]) -> list[GroupChange]:
    """Return what was and is labelled of each group of `after`."""
    was = {(group.what, group.name): group for group in before}
    rows = []
    for group in after:
        old = was.get((group.what, group.name))
        rows.append(
            GroupChange(
                what=group.what,
                name=group.name,
                wanted=group.wanted if old is None else old.wanted,
                count_before=0.0 if old is None else old.count,
                share_before=0.0 if old is None else old.share,
                count=group.count,
                share=group.share,
                under_represented_before=old is None or old.is_under,
                under_represented=group.is_under,
            )
        )
    return rows
