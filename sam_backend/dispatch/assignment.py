"""What is decided about the leases of a project at one moment."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sam_backend.dispatch.planning import WAITED, plan_queues
from sam_backend.dispatch.report import Balance, PersonReport
from sam_backend.dispatch.throughput import throughput_of
from sam_backend.dispatch.types import (
    DispatchSettings,
    FreeTask,
    Given,
    HeldTask,
    Labeller,
    Needs,
    Presence,
)
from sam_backend.dispatch.violations import new_violations
from sam_backend.labelstudio.api.people import User
from sam_backend.store.annotators import Annotator
from sam_backend.store.leases import Lease, LeaseBook, Outcome, Violation
from sam_backend.store.revisions import Revision, Subject


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What a decision rests on, beside the log of revisions and the leases.

    Attributes:
        now: The moment.
        roster: Everybody who has or had a queue.
        accounts: Label Studio's, by user id.
        listing: The project's tasks.
        gold: Tasks that test people, each with those whom it cannot test.
        orders: Priority and reason of tasks that have an order.
        shown: Masks that prefilled tasks show, by task.
        skipped_is_done: A task that was passed over wants nobody else.
    """

    now: datetime
    roster: Sequence[Annotator]
    accounts: Mapping[str, User]
    listing: Sequence[Mapping[str, Any]]
    gold: Mapping[int, frozenset[str]]
    orders: Mapping[int, tuple[float, str]]
    shown: Mapping[int, int]
    skipped_is_done: bool


class Assignment:
    """Ends, renews, moves and gives leases.

    Args:
        book: Book of the leases, in the transaction of the decision.
        settings: How queues are kept.
        known: What it rests on.
        newest: The last state of each task and annotation, read in the same transaction.
    """

    def __init__(
        self,
        book: LeaseBook,
        settings: DispatchSettings,
        known: Known,
        newest: Sequence[Revision],
    ) -> None:
        self._book, self._settings, self._known = book, settings, known
        self._roster = [one for one in known.roster if one.left_at is None]
        self._annotations = [one for one in newest if one.subject is Subject.ANNOTATION]
        there = {one.number for one in newest if one.subject is Subject.TASK}
        self._tasks = {int(task["id"]): task for task in known.listing if int(task["id"]) in there}
        self._done: dict[int, dict[str, Revision]] = defaultdict(dict)
        for one in self._annotations:
            if one.task is not None:  # an account may be gone, its work is not
                self._done[one.task][one.author or f"annotation {one.number}"] = one
        self._throughput = throughput_of(self._annotations, known.shown)
        self._presences: dict[str, Presence] = {}
        self._ended: Counter[Outcome] = Counter()

    def decide(self) -> Balance:
        """Decide everything, and tell what was decided."""
        ever = {one.person for one in self._known.roster}
        violations = new_violations(self._book, self._annotations, ever, self._known.now)
        self._presences = self._find_presences()
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
        people = [self._labeller(one, by_person[one.person], free, counts) for one in self._roster]
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
                self._told(one, now_held, violations, counts.get(one.person, (0, 0))[1])
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

    def _find_presences(self) -> dict[str, Presence]:
        """Of everybody with a queue."""
        seen = {number: user.seen_at for number, user in self._known.accounts.items()}
        for one in self._annotations:
            person = one.author or ""
            seen[person] = max(one.stamp, seen.get(person) or one.stamp)
        given, returned = self._book.last_given_at(), self._book.returned_at()
        now = self._known.now
        return {
            one.person: Presence(
                now,
                timedelta(seconds=self._settings.absent_after_s),
                (one.away_until is None or one.away_until <= now)
                and one.person in self._known.accounts,
                seen.get(one.person),
                max(one.joined_at, one.away_until or one.joined_at),
                given.get(one.person),
                returned.get(one.person),
            )
            for one in self._roster
        }

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
        presence = self._presences.get(lease.person)
        if presence is None or not presence.is_expected:  # left, away, or without an account
            return True
        return lease.until < self._known.now and presence.is_idle

    def _refresh(self, held: Sequence[Lease]) -> list[Lease]:
        """Leases with their tasks' present order; what somebody holds for long comes first."""
        length = timedelta(seconds=self._settings.lease_s)
        found = []
        for one in held:
            priority, reason = one.priority, one.reason
            if one.given_at + length < self._known.now:
                priority = 1.0
            elif not one.is_gold and one.reason != WAITED:
                priority, reason = self._order_of(one.task)
            if (priority, reason) != (one.priority, one.reason):
                self._book.rank(one, priority, reason)
            found.append(replace(one, priority=priority, reason=reason))
        return found

    def _order_of(self, number: int) -> tuple[float, str]:
        """Without an order, tasks come as they were imported, after all that have one."""
        return self._known.orders.get(number, (1e-3 / (1 + number / 1e6), ""))

    def _renew(self, held: Sequence[Lease]) -> None:
        """Whoever is there keeps what they hold."""
        length = timedelta(seconds=self._settings.lease_s)
        due = [
            one
            for one in held
            if one.until - self._known.now < length / 2 and not self._presences[one.person].is_idle
        ]
        self._book.renew(due, self._known.now + length)

    def _free(self, number: int, held: Sequence[Lease]) -> FreeTask:
        data = self._tasks[number].get("data") or {}
        priority, reason = self._order_of(number)
        places = self._wanted(number) - self._n_done(number) - len(held)
        return FreeTask(
            number,
            max(0, places),
            self._throughput.masks_of(self._known.shown.get(number)),
            frozenset(self._done[number])
            | {one.person for one in held}
            | self._known.gold.get(number, frozenset()),
            Needs(
                frozenset(_words(data.get(self._settings.skills_field))),
                next(iter(_words(data.get(self._settings.language_field))), None),
            ),
            number in self._known.gold,
            priority,
            reason,
        )

    def _labeller(
        self,
        one: Annotator,
        leases: Sequence[Lease],
        free: Mapping[int, FreeTask],
        counts: Mapping[str, tuple[int, int]],
    ) -> Labeller:
        n_given, n_gold = counts.get(one.person, (0, 0))
        presence = self._presences[one.person]
        return Labeller(
            one.person,
            self._throughput.seconds_of(one.person),
            one.skills,
            one.languages,
            presence.gets_tasks,
            presence.is_expected,
            presence.limit,
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
        until = self._known.now + timedelta(seconds=self._settings.lease_s)
        held.append(
            self._book.give(
                given.task,
                place,
                given.person,
                given.is_gold,
                given.priority,
                given.reason,
                self._known.now,
                until,
            )
        )

    def _end_all(self, leases: Sequence[Lease], outcome: Outcome) -> None:
        if leases:
            self._ended[outcome] += len(leases)
            self._book.end(leases, outcome, self._known.now)

    def _told(
        self,
        one: Labeller,
        held: Sequence[Lease],
        violations: Sequence[Violation],
        n_gold: int,
    ) -> PersonReport:
        own = [lease for lease in held if lease.person == one.person]
        masks = sum(self._throughput.masks_of(self._known.shown.get(lease.task)) for lease in own)
        account = self._known.accounts.get(one.person)
        return PersonReport(
            person=one.person,
            name="?" if account is None else account.email,
            is_present=self._presences[one.person].is_back,
            seen_at=self._presences[one.person].seen_at,
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
        return sum(self._known.skipped_is_done or not one.is_skipped for one in found)


def _words(told: object) -> list[str]:
    """The words of a list, or of a text with commas."""
    found = told if isinstance(told, list) else str(told).split(",") if told is not None else []
    return [word for one in found if (word := str(one).strip())]
