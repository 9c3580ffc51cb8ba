"""What is under-represented among what is labelled, and which tasks would mend that.

A group is a label, a size of objects, or a kind of images. What is wanted of each lies between what
there is and equal shares: proportional to the square root of its share, as rare classes are sampled
in training (D. Mahajan et al., "Exploring the Limits of Weakly Supervised Pretraining", 2018).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

LABEL, SIZE, KIND = "label", "size", "image kind"

Floats = npt.NDArray[np.float64]

_UNDER = 0.25


@dataclass(frozen=True, slots=True)
class Group:
    """One label, size or kind of images.

    Attributes:
        what: `LABEL`, `SIZE` or `KIND`.
        name: Its name.
        count: Objects, or labelled images of the kind.
        share: Share of all that is labelled, 0 to 1.
        wanted: Likewise.
    """

    what: str
    name: str
    count: float
    share: float
    wanted: float

    @property
    def lack(self) -> float:
        """How much of what is wanted is missing, 0 to 1."""
        return max(0.0, 1 - self.share / self.wanted) if self.wanted else 0.0

    @property
    def is_under(self) -> bool:
        """Whether a quarter and more of what is wanted is missing."""
        return self.lack >= _UNDER


def groups_of(
    what: str, counts: Mapping[str, float], pool: Mapping[str, float] | None = None
) -> list[Group]:
    """The groups of one kind, in their order.

    Args:
        what: `LABEL`, `SIZE` or `KIND`.
        counts: What is labelled, by name; those of which there is nothing with 0.
        pool: What there is, labelled or not, by the same names; None: it is not known, and what is
            labelled tells.
    """
    total = sum(counts.values())
    # one more of each, so that what was never seen is wanted, too
    base = {name: count + 1.0 for name, count in (pool or counts).items()}
    tempered = {name: sqrt(value / sum(base.values())) for name, value in base.items()}
    return [
        Group(
            what,
            name,
            count,
            count / total if total else 0.0,
            tempered[name] / sum(tempered.values()),
        )
        for name, count in counts.items()
    ]


def injections(
    groups: Sequence[Group], members: Floats, ranking: Floats, n: int
) -> list[tuple[int, int]]:
    """Tasks that bring what is lacking: labels, sizes and kinds in turn, the most lacking first.

    What a task is expected to bring counts at once, so that no group is filled twice.

    Args:
        groups: All of them, shape (G,).
        members: How much each task is expected to bring of each group, 0 to 1, shape (N, G).
        ranking: Among equals the higher one comes first, shape (N,).
        n: Tasks at the most.

    Returns:
        Indexes of tasks, each with that of the group it is for.
    """
    counts = np.array([group.count for group in groups], np.float64)
    wanted = np.array([group.wanted for group in groups], np.float64)
    what = np.array([group.what for group in groups])
    turns = np.zeros(len(groups), np.int64)
    free = np.ones(len(members), bool)
    found: list[tuple[int, int]] = []
    while len(found) < n and free.any():
        totals = {one: counts[what == one].sum() for one in set(what.tolist())}
        shares = counts / np.maximum(1e-9, np.array([totals[one] for one in what]))
        lacks = np.where(wanted > 0, 1 - shares / np.maximum(wanted, 1e-9), 0.0)
        for group in np.lexsort((-lacks, turns)):
            if lacks[group] < _UNDER:
                continue
            able = np.flatnonzero(free & (members[:, group] > 0))
            if len(able):
                best = able[np.lexsort((-ranking[able], -members[able, group]))[0]]
                break
        else:
            return found
        found.append((int(best), int(group)))
        turns[what == what[group]] += 1
        free[best] = False
        counts += members[best]
    return found
