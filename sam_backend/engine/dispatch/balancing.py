"""One balancing: what is done leaves the queues, what absent people hold goes back, queues fill.

The log of revisions says what is done, the leases say who holds what, and the fields of the tasks
follow from both: whatever moment a balancing is killed at, the next one brings them in line. Leases
are decided by one process at a time, so that any number may try.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sam_backend.engine.dispatch.pace import paces_of
from sam_backend.engine.dispatch.planning import (
    WAITED,
    FreeTask,
    Given,
    HeldTask,
    Labeller,
    Needs,
    plan_queues,
)
from sam_backend.engine.dispatch.report import Balance, PersonReport
from sam_backend.engine.versions.reading import read_project
from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.client import LabelStudioClient
from sam_backend.labelstudio.people import User, own_number, users
from sam_backend.labelstudio.predictions import write_task_data
from sam_backend.labelstudio.project_tasks import tasks_numbered
from sam_backend.labelstudio.queues import (
    ASSIGNEE,
    PRIORITY,
    REASON,
    assignee_text,
    keep_tabs,
    priority_text,
)
from sam_backend.store.annotators import Annotator, Annotators
from sam_backend.store.database import Database
from sam_backend.store.gold import Gold
from sam_backend.store.leases import Lease, LeaseBook, Leases, Outcome, Violation
from sam_backend.store.prefills import Prefills
from sam_backend.store.revisions import Revision, Revisions, Subject
from sam_backend.store.task_orders import TaskOrders

OUTSIDE, LATE = "outside", "late"
"""Labelled by somebody who never had the task, and by somebody who had it no longer."""

Json = dict[str, Any]

_IGNORED = "IGNORE_SKIPPED"  # Label Studio's setting by which a skipped task is done
_WRITTEN_AT_ONCE = 10
_TOKEN = re.compile(r"[0-9a-f]{32}")  # of a gold copy, in its file's name


@dataclass(frozen=True, slots=True)
class DispatchSettings:
    """How queues are kept.

    Attributes:
        horizon_s: A queue holds so many expected seconds of work.
        lease_s: What somebody holds goes back after so long, if they are not there.
        absent_after_s: Somebody who was not seen for so long is not there.
        gold_per_hundred: Gold tasks for a hundred others, in each queue.
        keep: Tasks at the head of a queue that do not move: they may be open in the page.
        skills_field: Field of a task's data with the skills that it asks for: a list, or a text
            with commas.
        language_field: Field with its language.
    """

    horizon_s: float = 1800.0
    lease_s: float = 4 * 3600.0
    absent_after_s: float = 1800.0
    gold_per_hundred: float = 5.0
    keep: int = 1
    skills_field: str = "skills"
    language_field: str = "language"


class Dispatcher:
    """Keeps the queues of one project.

    Args:
        client: Of the project's Label Studio.
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
        accounts = {user.number: user for user in users(self._client)}
        me = own_number(self._client)
        if me in accounts:  # our own calls are no sign of them
            accounts[me] = replace(accounts[me], seen_at=None)
        project = self._client.project(self._project_id)
        listing: list[Json] = []
        read_project(
            self._client,
            self._project_id,
            self._revisions,
            take=listing.append,
            stamps=self._stamps,
        )
        numbers = [int(task["id"]) for task in listing]
        states = self._prefills.states(self._origin, self._project_id, numbers)
        shown = {
            number: row.counts.get("accepted", 0) + row.counts.get("review", 0)
            for number, row in states.items()
            if row.state == "done"
        }
        gold = self._gold_tasks(listing)
        orders = {n: (row.priority, row.reason) for n, row in self._orders.all().items()}
        with self._leases.deciding() as book:
            decision = _Decision(
                book,
                self._settings,
                self._now(),
                roster,
                accounts,
                listing,
                self._revisions.newest_within(book.connection),
                gold,
                orders,
                shown,
                project.get("skip_queue") == _IGNORED,
            )
            report = decision.decide()
        names = {number: user.email for number, user in accounts.items()}
        written = self._write(listing, names)
        keep_tabs(
            self._client,
            self._project_id,
            {one.person: names.get(one.person, "?") for one in roster if one.left_at is None},
            [one.person for one in roster if one.left_at is not None],
        )
        return replace(report, written=written)

    def _gold_tasks(self, listing: Sequence[Json]) -> dict[int, frozenset[str]]:
        """Tasks that show a trusted image, each with those who have made its truth."""
        copies = {
            copy.token: copy.image for copy in self._gold.copies(self._origin, self._project_id)
        }
        if not copies:
            return {}
        makers = {image.digest: image.makers for image in self._gold.images()}
        found = {}
        for task in listing:
            for value in _data(task).values():
                for token in copies.keys() & set(_TOKEN.findall(str(value))):
                    found[int(task["id"])] = makers.get(copies[token], frozenset())
        return found

    def _write(self, listing: Sequence[Json], names: Mapping[str, str]) -> int:
        """Bring the tasks' fields in line with the leases; returns how many tasks changed."""
        held = self._held_by_task()
        numbers = [
            int(task["id"])
            for task in listing
            if _wanted(_data(task), held[int(task["id"])], names)
        ]
        for start in range(0, len(numbers), _WRITTEN_AT_ONCE):
            some = numbers[start : start + _WRITTEN_AT_ONCE]
            if start:  # writing takes a while, in which others may have decided
                held = self._held_by_task()
            for task in tasks_numbered(self._client, self._project_id, some):
                number, data = int(task["id"]), _data(task)
                write_task_data(self._client, number, data, _wanted(data, held[number], names))
        return len(numbers)

    def _held_by_task(self) -> defaultdict[int, list[Lease]]:
        return _by_task(self._leases.held())


class _Decision:
    """What is decided about the leases of a project at one moment."""

    def __init__(
        self,
        book: LeaseBook,
        settings: DispatchSettings,
        now: datetime,
        roster: Sequence[Annotator],
        accounts: Mapping[str, User],
        listing: Sequence[Json],
        newest: Sequence[Revision],
        gold: Mapping[int, frozenset[str]],
        orders: Mapping[int, tuple[float, str]],
        shown: Mapping[int, int],
        skipped_is_done: bool,
    ) -> None:
        self._book, self._settings, self._now = book, settings, now
        self._roster = [one for one in roster if one.left_at is None]
        self._ever = {one.person for one in roster}
        self._accounts, self._gold, self._orders, self._shown = accounts, gold, orders, shown
        self._annotations = [one for one in newest if one.subject is Subject.ANNOTATION]
        known = {one.number for one in newest if one.subject is Subject.TASK}
        self._tasks = {int(task["id"]): task for task in listing if int(task["id"]) in known}
        self._done: dict[int, dict[str, Revision]] = defaultdict(dict)
        for one in self._annotations:
            if one.task is not None:  # an account may be gone, its work is not
                self._done[one.task][one.author or f"annotation {one.number}"] = one
        self._paces = paces_of(self._annotations, shown)
        self._skipped_is_done = skipped_is_done
        self._seen = self._last_seen()
        self._expected = {one.person for one in self._roster if self._is_expected(one)}
        self._ended: Counter[Outcome] = Counter()

    def decide(self) -> Balance:
        violations = self._violations()
        present = self._present()
        self._last_given = self._book.last_given_at()
        held = self._refresh(self._end(self._book.held()))
        self._renew(held)
        held_by_task: dict[int, list[Lease]] = defaultdict(list)
        for one in held:
            held_by_task[one.task].append(one)
        free = {number: self._free(number, held_by_task[number]) for number in self._tasks}
        by_person: dict[str, list[Lease]] = defaultdict(list)
        for one in sorted(held, key=lambda one: (-one.priority, one.id)):
            by_person[one.person].append(one)
        counts = self._book.counts()
        people = [
            self._labeller(one, by_person[one.person], free, present, counts)
            for one in self._roster
        ]
        settings = self._settings
        plan = plan_queues(
            people,
            [task for task in free.values() if task.places > 0],
            settings.horizon_s,
            settings.gold_per_hundred / (100 + settings.gold_per_hundred),
            settings.keep,
        )
        by_id = {one.id: one for one in held}
        for move in plan.moved:
            moved = by_id[move.lease]
            held_by_task[moved.task].remove(moved)
            self._end_all([moved], Outcome.MOVED)
            self._give(move.given, held_by_task)
        for given in plan.given:
            self._give(given, held_by_task)
        now_held = [one for some in held_by_task.values() for one in some]
        counts = self._book.counts()
        return Balance(
            people=tuple(
                self._told(one, now_held, present, violations, counts.get(one.person, (0, 0))[1])
                for one in people
            ),
            tasks=len(self._tasks),
            labelled=sum(self._wanted(number) <= self._n_done(number) for number in self._tasks),
            given=len(plan.given),
            moved=len(plan.moved),
            ended={outcome.value: count for outcome, count in self._ended.items()},
            unservable=plan.unservable,
            violations=tuple(violations),
        )

    def _present(self) -> dict[str, bool]:
        """Who gets tasks: everybody but those who are away, and those who let a queue expire."""
        returned = self._book.returned_at()
        present: dict[str, bool] = {}
        for one in self._roster:
            last_return = returned.get(one.person)
            is_back = last_return is None or self._heard_of(one) > last_return
            present[one.person] = one.person in self._expected and is_back
        return present

    def _is_expected(self, one: Annotator) -> bool:
        """Not away, and with an account."""
        is_away = one.away_until is not None and one.away_until > self._now
        return not is_away and one.person in self._accounts

    def _heard_of(self, one: Annotator) -> datetime:
        """When a person was last seen, or said to be here from then on."""
        told = (one.joined_at, one.away_until, self._seen[one.person])
        return max(at for at in told if at is not None)

    def _last_seen(self) -> dict[str, datetime | None]:
        """When each person last did something, in the page or to an annotation of theirs."""
        seen = {number: user.seen_at for number, user in self._accounts.items()}
        for one in self._annotations:
            person = one.author or ""
            seen[person] = max(one.stamp, seen.get(person) or one.stamp)
        return {one.person: seen.get(one.person) for one in self._roster}

    def _is_idle(self, person: str) -> bool:
        seen = self._seen[person]
        patience = timedelta(seconds=self._settings.absent_after_s)
        return seen is None or seen + patience < self._now

    def _end(self, held: Sequence[Lease]) -> list[Lease]:
        """End what is done, gone, superseded or returned; the others."""
        left = []
        for one in held:
            if one.task in self._tasks and one.person in self._done[one.task]:
                self._end_all([one], Outcome.DONE)
            elif one.task not in self._tasks:
                self._end_all([one], Outcome.SUPERSEDED)
            elif self._is_given_back(one):
                self._end_all([one], Outcome.RETURNED)
            else:
                left.append(one)
        by_task: dict[int, list[Lease]] = defaultdict(list)
        for one in left:
            by_task[one.task].append(one)
        kept = []
        for number, leases in by_task.items():
            room = max(0, self._wanted(number) - self._n_done(number))
            self._end_all(leases[room:], Outcome.SUPERSEDED)
            kept += leases[:room]
        return kept

    def _is_given_back(self, lease: Lease) -> bool:
        if lease.person not in self._expected:  # left, away, or without an account
            return True
        return lease.until < self._now and self._is_idle(lease.person)

    def _refresh(self, held: Sequence[Lease]) -> list[Lease]:
        """Leases with their tasks' present order; what somebody holds for long comes first."""
        length = timedelta(seconds=self._settings.lease_s)
        found = []
        for one in held:
            priority, reason = one.priority, one.reason
            if one.given_at + length < self._now:
                priority = 1.0
            elif not one.is_gold and one.reason != WAITED:
                priority, reason = self._order_of(one.task)
            if (priority, reason) != (one.priority, one.reason):
                self._book.rank(one, priority, reason)
            found.append(replace(one, priority=priority, reason=reason))
        return found

    def _order_of(self, number: int) -> tuple[float, str]:
        """Without an order, tasks come as they were imported, after all that have one."""
        return self._orders.get(number, (1e-3 / (1 + number / 1e6), ""))

    def _renew(self, held: Sequence[Lease]) -> None:
        """Whoever is there keeps what they hold."""
        length = timedelta(seconds=self._settings.lease_s)
        due = [
            one
            for one in held
            if one.until - self._now < length / 2 and not self._is_idle(one.person)
        ]
        self._book.renew(due, self._now + length)

    def _free(self, number: int, held: Sequence[Lease]) -> FreeTask:
        data = _data(self._tasks[number])
        priority, reason = self._order_of(number)
        places = self._wanted(number) - self._n_done(number) - len(held)
        return FreeTask(
            number,
            max(0, places),
            self._paces.masks_of(self._shown.get(number)),
            frozenset(self._done[number])
            | {one.person for one in held}
            | self._gold.get(number, frozenset()),
            Needs(
                frozenset(_words(data.get(self._settings.skills_field))),
                next(iter(_words(data.get(self._settings.language_field))), None),
            ),
            number in self._gold,
            priority,
            reason,
        )

    def _labeller(
        self,
        one: Annotator,
        leases: Sequence[Lease],
        free: Mapping[int, FreeTask],
        present: Mapping[str, bool],
        counts: Mapping[str, tuple[int, int]],
    ) -> Labeller:
        n_given, n_gold = counts.get(one.person, (0, 0))
        last_given = self._last_given.get(one.person)
        # a queue is filled once for whoever may come; then people must be seen
        is_due = last_given is None or last_given <= self._heard_of(one)
        is_expected, is_back = one.person in self._expected, present[one.person]
        return Labeller(
            one.person,
            self._paces.seconds_of(one.person),
            one.skills,
            one.languages,
            # somebody who let a queue expire finds one task when they come, and then more
            is_expected and (not is_back or is_due or not self._is_idle(one.person)),
            is_expected,
            None if is_back else 1,
            tuple(
                HeldTask(
                    lease.id,
                    replace(free[lease.task], priority=lease.priority, reason=lease.reason),
                )
                for lease in leases
            ),
            n_given,
            n_gold,
        )

    def _give(self, given: Given, held_by_task: dict[int, list[Lease]]) -> None:
        held = held_by_task[given.task]
        used = {one.place for one in held}
        place = next(n for n in range(len(used) + 1) if n not in used)
        until = self._now + timedelta(seconds=self._settings.lease_s)
        held.append(
            self._book.give(
                given.task,
                place,
                given.person,
                given.is_gold,
                given.priority,
                given.reason,
                self._now,
                until,
            )
        )

    def _end_all(self, leases: Sequence[Lease], outcome: Outcome) -> None:
        if leases:
            self._ended[outcome] += len(leases)
            self._book.end(leases, outcome, self._now)

    def _violations(self) -> list[Violation]:
        """Annotations by people who have or had a queue, but no lease on the task: new ones."""
        began = self._book.began_at()
        if began is None:
            return []
        known = self._book.known_violations()
        new = [
            one
            for one in self._annotations
            if one.author in self._ever
            and one.task is not None
            and one.number not in known
            and (one.made_at or one.stamp) >= began
        ]
        leases: dict[tuple[int, str], list[Lease]] = defaultdict(list)
        for lease in (
            *self._book.ended_of({one.task for one in new if one.task is not None}),
            *self._book.held(),
        ):
            leases[lease.task, lease.person].append(lease)
        found = []
        for one in new:
            made_at = one.made_at or one.stamp
            # what was submitted between two balancings ended at the second one
            own_leases = [
                x for x in leases[one.task or 0, str(one.author)] if x.given_at <= made_at
            ]
            if any(x.ended_at is None or x.ended_at >= made_at for x in own_leases):
                continue
            if own_leases and own_leases[-1].outcome is Outcome.DONE:
                continue  # once more, by whoever has done it
            kind = LATE if own_leases else OUTSIDE
            violation = Violation(
                one.number, one.task or 0, str(one.author), kind, made_at, self._now
            )
            self._book.add_violation(violation)
            found.append(violation)
        return found

    def _told(
        self,
        one: Labeller,
        held: Sequence[Lease],
        present: Mapping[str, bool],
        violations: Sequence[Violation],
        n_gold: int,
    ) -> PersonReport:
        own = [lease for lease in held if lease.person == one.person]
        masks = sum(self._paces.masks_of(self._shown.get(lease.task)) for lease in own)
        account = self._accounts.get(one.person)
        return PersonReport(
            person=one.person,
            name="?" if account is None else account.email,
            is_present=present[one.person],
            seen_at=self._seen[one.person],
            queue=len(own),
            expected_minutes=masks * one.seconds_a_mask / 60,
            seconds_a_mask=one.seconds_a_mask,
            done=sum(one.person in done for done in self._done.values()),
            gold=n_gold,
            violations=sum(found.person == one.person for found in violations),
        )

    def _wanted(self, number: int) -> int:
        """Annotations that Label Studio wants of a task: the project's overlap."""
        told = self._tasks[number].get("overlap")
        return max(1, told) if isinstance(told, int) else 1

    def _n_done(self, number: int) -> int:
        found = self._done[number].values()
        return sum(self._skipped_is_done or not one.is_skipped for one in found)


def _by_task(leases: Iterable[Lease]) -> defaultdict[int, list[Lease]]:
    found: defaultdict[int, list[Lease]] = defaultdict(list)
    for one in leases:
        found[one.task].append(one)
    return found


def _wanted(
    data: Mapping[str, Any], leases: Sequence[Lease], names: Mapping[str, str]
) -> dict[str, object]:
    """Fields of a task that are not yet as its leases want them."""
    if not leases:
        return {ASSIGNEE: ""} if data.get(ASSIGNEE) else {}
    wanted: dict[str, object] = {
        ASSIGNEE: assignee_text([one.person for one in leases], names),
        PRIORITY: priority_text(max(one.priority for one in leases)),
        REASON: leases[0].reason,
    }
    return {name: value for name, value in wanted.items() if data.get(name) != value}


def _data(task: Mapping[str, Any]) -> dict[str, Any]:
    data = task.get("data")
    return data if isinstance(data, dict) else {}


def _words(told: object) -> list[str]:
    """The words of a list, or of a text with commas."""
    found = told if isinstance(told, list) else str(told).split(",") if told is not None else []
    return [word for one in found if (word := str(one).strip())]
