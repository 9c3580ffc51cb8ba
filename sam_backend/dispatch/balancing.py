"""One balancing: what is done leaves the queues, what absent people hold goes back, queues fill.

The log of revisions says what is done, the leases say who holds what, and the fields of the tasks
follow from both: whatever moment a balancing is killed at, the next one brings them in line. Leases
are decided by one process at a time, so that any number may try.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sam_backend.dispatch.assignment import Assignment, Known
from sam_backend.dispatch.report import Balance
from sam_backend.dispatch.types import DispatchSettings
from sam_backend.dispatch.writeback import write_queues
from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.api.people import User, own_number, users
from sam_backend.labelstudio.api.queues import keep_tabs
from sam_backend.projects.project import Project
from sam_backend.versions.reading import read_project

Json = dict[str, Any]

_IGNORED = "IGNORE_SKIPPED"  # Label Studio's setting by which a skipped task is done


class Dispatcher:
    """Keeps the queues of one project.

    Args:
        project: The project.
        settings: How queues are kept.
        now: The clock, UTC.
    """

    def __init__(
        self,
        project: Project,
        settings: DispatchSettings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._project = project
        self._client = project.client
        self._settings = settings
        self._now = now
        self._annotators = project.annotators
        self._leases = project.leases
        self._revisions = project.revisions
        self._stamps: dict[int, datetime] = {}

    def balance(self) -> Balance:
        """Bring everything in line once.

        Raises:
            InvalidInputError: Nobody has a queue.
            SamBackendError: Label Studio or the database is out of reach; the next try goes on.
        """
        roster = self._annotators.list()
        if not roster:
            raise InvalidInputError(
                f"nobody has a queue in project {self._project.id}: "
                f"sam-backend tasks join --project {self._project.id} EMAIL …"
            )
        accounts = self._accounts()
        listing: list[Json] = []
        read = read_project(self._project, take=listing.append, stamps=self._stamps)
        orders = self._project.task_orders.all()
        known = Known(
            now=self._now(),
            roster=roster,
            accounts=accounts,
            listing=listing,
            gold=_gold_tasks(self._project, listing),
            orders={number: (row.priority, row.reason) for number, row in orders.items()},
            shown=self._shown([int(task["id"]) for task in listing]),
            skipped_is_done=read.project.get("skip_queue") == _IGNORED,
        )
        with self._leases.deciding() as book:
            newest = self._revisions.newest_within(book.connection)
            report = Assignment(book, self._settings, known, newest).decide()
        names = {number: user.email for number, user in accounts.items()}
        written = write_queues(self._project, listing, names)
        keep_tabs(
            self._client,
            self._project.id,
            {one.person: names.get(one.person, "?") for one in roster if one.left_at is None},
            [one.person for one in roster if one.left_at is not None],
        )
        return replace(report, written=written)

    def _accounts(self) -> dict[str, User]:
        found = {user.number: user for user in users(self._client)}
        me = own_number(self._client)
        if me in found:  # our own calls are no sign of them
            found[me] = replace(found[me], seen_at=None)
        return found

    def _shown(self, tasks: list[int]) -> dict[int, int]:
        """Masks that prefilled tasks show, by task."""
        states = self._project.prefills.states(self._project.origin, self._project.id, tasks)
        return {
            number: row.counts.get("accepted", 0) + row.counts.get("review", 0)
            for number, row in states.items()
            if row.state == "done"
        }


_TOKEN = re.compile(r"[0-9a-f]{32}")  # of a copy, in its file's name


def _gold_tasks(
    project: Project, listing: Sequence[Mapping[str, Any]]
) -> dict[int, frozenset[str]]:
    """Tasks by number, each with those who have made its truth: it cannot test them.

    Args:
        project: The project.
        listing: Its tasks.
    """
    copies = {copy.token: copy.image for copy in project.gold.copies(project.origin, project.id)}
    if not copies:
        return {}
    makers = {image.digest: image.makers for image in project.gold.images()}
    return {
        int(task["id"]): makers.get(copies[token], frozenset())
        for task in listing
        for value in (task.get("data") or {}).values()
        for token in copies.keys() & set(_TOKEN.findall(str(value)))
    }
