"""One balancing: what is done leaves the queues, what absent people hold goes back, queues fill.

The log of revisions says what is done, the leases say who holds what, and the fields of the tasks
follow from both: whatever moment a balancing is killed at, the next one brings them in line. Leases
are decided by one process at a time, so that any number may try.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sam_backend.dispatch.assignment import Decision, Known
from sam_backend.dispatch.gold_tasks import gold_tasks
from sam_backend.dispatch.report import Balance
from sam_backend.dispatch.settings import DispatchSettings
from sam_backend.dispatch.writeback import write_queues
from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.people import User, own_number, users
from sam_backend.labelstudio.api.queues import keep_tabs
from sam_backend.store.annotators import Annotators
from sam_backend.store.database import Database
from sam_backend.store.gold import Gold
from sam_backend.store.leases import Leases
from sam_backend.store.prefills import Prefills
from sam_backend.store.revisions import Revisions
from sam_backend.store.task_orders import TaskOrders
from sam_backend.versions.reading import read_project

Json = dict[str, Any]

_IGNORED = "IGNORE_SKIPPED"  # Label Studio's setting by which a skipped task is done


class Dispatcher:
    """Keeps the queues of one project.

    Args:
        client: API client of the project's Label Studio.
        project_id: The project.
        database: Of leases, people and revisions.
        settings: How queues are kept.
        now: The clock, UTC.
    """

    def __init__(
        self,
        client: LabelStudioClient,
        project_id: int,
        database: Database,
        settings: DispatchSettings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        place = (database, client.host.url, project_id)
        self._client = client
        self._project_id = project_id
        self._origin = str(client.host.origin)
        self._settings = settings
        self._now = now
        self._annotators = Annotators(*place)
        self._leases = Leases(*place)
        self._revisions = Revisions(*place)
        self._orders = TaskOrders(*place)
        self._gold = Gold(database)
        self._prefills = Prefills(database)
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
                f"nobody has a queue in project {self._project_id}: "
                f"sam-backend tasks join --project {self._project_id} EMAIL …"
            )
        accounts = self._accounts()
        listing: list[Json] = []
        read = read_project(
            self._client,
            self._project_id,
            self._revisions,
            take=listing.append,
            stamps=self._stamps,
        )
        orders = self._orders.all()
        known = Known(
            now=self._now(),
            roster=roster,
            accounts=accounts,
            listing=listing,
            gold=gold_tasks(self._gold, self._origin, self._project_id, listing),
            orders={number: (row.priority, row.reason) for number, row in orders.items()},
            shown=self._shown([int(task["id"]) for task in listing]),
            skipped_is_done=read.project.get("skip_queue") == _IGNORED,
        )
        with self._leases.deciding() as book:
            newest = self._revisions.newest_within(book.connection)
            report = Decision(book, self._settings, known, newest).decide()
        names = {number: user.email for number, user in accounts.items()}
        written = write_queues(self._client, self._project_id, listing, self._leases, names)
        keep_tabs(
            self._client,
            self._project_id,
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
        states = self._prefills.states(self._origin, self._project_id, tasks)
        return {
            number: row.counts.get("accepted", 0) + row.counts.get("review", 0)
            for number, row in states.items()
            if row.state == "done"
        }
