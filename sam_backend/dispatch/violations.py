"""Annotations of tasks that were not in their author's queue."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime

from sam_backend.store.leases import Lease, LeaseBook, Outcome, Violation
from sam_backend.store.revisions import Revision

OUTSIDE, LATE = "outside", "late"
"""Labelled by somebody who never had the task, and by somebody who had it no longer."""


def new_violations(
    book: LeaseBook, annotations: Iterable[Revision], people: Collection[str], now: datetime
) -> list[Violation]:
    """Those that are not known yet; written down.

    Args:
        book: Who held what, before this balancing ends anything.
        annotations: Their newest revisions.
        people: Who has or had a queue; others are nobody's to watch.
        now: The moment.
    """
    began = book.began_at()
    if began is None:
        return []
    known = book.known_violations()
    new = [
        (one, one.task, str(one.author), one.made_at or one.stamp)
        for one in annotations
        if one.author in people
        and one.task is not None
        and one.number not in known
        and (one.made_at or one.stamp) >= began
    ]
    leases: dict[tuple[int, str], list[Lease]] = defaultdict(list)
    for lease in (*book.ended_of({task for _, task, _, _ in new}), *book.held()):
        leases[lease.task, lease.person].append(lease)
    found = []
    for one, task, person, made_at in new:
        kind = _kind([x for x in leases[task, person] if x.given_at <= made_at], made_at)
        if kind is not None:
            violation = Violation(one.number, task, person, kind, made_at, now)
            book.add_violation(violation)
            found.append(violation)
    return found


def _kind(own: list[Lease], made_at: datetime) -> str | None:
    """Of an annotation by the leases that its author had got on the task; None: it is fine."""
    if not own:
        return OUTSIDE
    # what was submitted between two balancings ended at the second one
    if any(one.ended_at is None or one.ended_at >= made_at for one in own):
        return None
    # once more, by whoever has done it
    return None if own[-1].outcome is Outcome.DONE else LATE
