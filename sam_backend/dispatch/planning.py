"""Which tasks go to whom: most urgent first, to whoever would be done with theirs soonest.

People take work as they get through it (list scheduling: R. L. Graham, "Bounds on Multiprocessing
Timing Anomalies", 1969): nobody's queue is longer than a while, and once nothing is left to give,
the ends of long queues move to people whose queues are short.
"""

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace

from sam_backend.dispatch.types import FreeTask, Given, Labeller, Move, Needs, Plan

OLDEST_EVERY = 5
"""Of so many tasks given, one is the oldest that waits: none waits for ever, however urgent others
are."""
WAITED = "has waited longest"
MARGIN_S = 60.0
"""A task moves only if that brings its end forward by more: else it would go back and forth."""


def plan_queues(
    people: Sequence[Labeller],
    tasks: Iterable[FreeTask],
    horizon_s: float,
    gold_share: float,
    keep: int = 1,
) -> Plan:
    """Fill the queues of those who are present.

    Args:
        people: Everybody with a queue.
        tasks: Those with free places.
        horizon_s: A queue is filled up to so many expected seconds.
        gold_share: Share of a person's tasks that should be gold, 0 to 1.
        keep: Tasks at the head of a present person's queue that do not move: they may be open.
    """
    planner = _Planner(people, tasks, horizon_s, gold_share)
    planner.fill()
    planner.level(keep)
    return planner.plan


class Slots:
    """Free tasks that ask for the same, most urgent first; and oldest first."""

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self._urgent: list[FreeTask] = []
        self._old: list[FreeTask] = []
        self._left: dict[int, int] = {}  # places by task

    def add(self, task: FreeTask) -> None:
        """In the order of urgency."""
        self._urgent.append(task)
        self._left[task.number] = task.places

    def sort(self) -> None:
        """After the last one was added."""
        self._old = sorted(self._urgent, key=lambda task: task.number)

    def first_for(
        self, person: str, taken: Container[tuple[int, str]], is_oldest: bool = False
    ) -> FreeTask | None:
        """The most urgent task, or the oldest one, that this person is not at yet."""
        tasks = self._old if is_oldest else self._urgent
        while tasks and tasks[0].number not in self._left:
            tasks.pop(0)
        for task in tasks:
            if (
                task.number in self._left
                and person not in task.not_for
                and (task.number, person) not in taken
            ):
                return task
        return None

    def take(self, task: FreeTask) -> None:
        """One place less."""
        self._left[task.number] -= 1
        if not self._left[task.number]:
            del self._left[task.number]

    def left(self) -> Iterator[tuple[FreeTask, int]]:
        """Tasks with the places that nobody has taken."""
        return ((task, self._left[task.number]) for task in self._old if task.number in self._left)


class _Queue:
    """One person's, while it is planned."""

    def __init__(self, labeller: Labeller) -> None:
        self.labeller = labeller
        self.held = list(labeller.held)
        self.load_s = sum(labeller.seconds_for(one.task) for one in self.held)
        self.n_given, self.n_gold = labeller.n_given, labeller.n_gold
        self.n_tasks = len(self.held)

    def has_room(self, horizon_s: float) -> bool:
        limit = self.labeller.limit
        return self.load_s < horizon_s and (limit is None or self.n_tasks < limit)


class _Planner:
    def __init__(
        self,
        people: Sequence[Labeller],
        tasks: Iterable[FreeTask],
        horizon_s: float,
        gold_share: float,
    ) -> None:
        self.plan = Plan()
        self._horizon_s = horizon_s
        self._gold_share = gold_share
        self._queues = [_Queue(one) for one in people]
        self._taken: set[tuple[int, str]] = set()
        by_needs: dict[tuple[bool, Needs], Slots] = {}
        for task in sorted(tasks, key=lambda one: (-one.priority, one.number)):
            key = (task.is_gold, task.needs)
            if key not in by_needs:
                by_needs[key] = Slots(task.needs)
            by_needs[key].add(task)
        self._slots: dict[bool, list[Slots]] = defaultdict(list)
        for (is_gold, _), slots in by_needs.items():
            slots.sort()
            self._slots[is_gold].append(slots)
        for some in self._slots.values():
            some.sort(key=self._masks_a_s)  # what few can do comes first

    def fill(self) -> None:
        """Give tasks to whoever has least to do, until all have enough."""
        heap = [
            (queue.load_s, place)
            for place, queue in enumerate(self._queues)
            if queue.labeller.is_present and queue.has_room(self._horizon_s)
        ]
        heapq.heapify(heap)
        while heap:
            _, place = heapq.heappop(heap)
            queue = self._queues[place]
            if self._give(queue) and queue.has_room(self._horizon_s):
                heapq.heappush(heap, (queue.load_s, place))
        for slots in self._slots[False]:
            for task, places in slots.left():
                if not self._can_be_done(task):
                    self.plan.unservable[task.needs] = (
                        self.plan.unservable.get(task.needs, 0) + places
                    )

    def level(self, keep: int) -> None:
        """Move the ends of long queues to people who will have nothing to do sooner."""
        takers = [queue for queue in self._queues if queue.labeller.is_working]
        while takers:
            taker = min(takers, key=lambda queue: queue.load_s)
            if taker.load_s >= self._horizon_s or not self._move_to(taker, keep):
                takers.remove(taker)

    def _masks_a_s(self, slots: Slots) -> float:
        """By everybody who can do its tasks."""
        able = (queue.labeller for queue in self._queues)
        return sum(1 / one.seconds_a_mask for one in able if one.can_do(slots.needs))

    def _give(self, queue: _Queue) -> bool:
        person = queue.labeller.person
        usual = self._first_for(queue, is_gold=False)
        found, looks = usual, None if usual is None else usual[1]
        if self._is_gold_due(queue) and (gold := self._first_for(queue, is_gold=True)):
            found = gold
            looks = looks or gold[1]
        elif usual is not None and (queue.n_given + 1) % OLDEST_EVERY == 0:
            found = self._oldest_for(queue) or usual
            if found[1] is not usual[1]:
                looks = replace(usual[1], reason=WAITED)
        if found is None or looks is None:
            return False
        slots, task = found
        slots.take(task)
        self._taken.add((task.number, person))
        # gold looks like what would have come, and what is old comes in its place
        self.plan.given.append(
            Given(task.number, person, task.is_gold, looks.priority, looks.reason)
        )
        queue.load_s += queue.labeller.seconds_for(task)
        queue.n_given += 1
        queue.n_tasks += 1
        queue.n_gold += task.is_gold
        return True

    def _first_for(self, queue: _Queue, is_gold: bool) -> tuple[Slots, FreeTask] | None:
        for slots in self._slots[is_gold]:
            if queue.labeller.can_do(slots.needs):
                task = slots.first_for(queue.labeller.person, self._taken)
                if task is not None:
                    return slots, task
        return None

    def _oldest_for(self, queue: _Queue) -> tuple[Slots, FreeTask] | None:
        """Of all that the person can do."""
        found = [
            (slots, task)
            for slots in self._slots[False]
            if queue.labeller.can_do(slots.needs)
            and (task := slots.first_for(queue.labeller.person, self._taken, is_oldest=True))
        ]
        return min(found, key=lambda one: one[1].number, default=None)

    def _can_be_done(self, task: FreeTask) -> bool:
        return any(
            queue.labeller.is_expected
            and queue.labeller.can_do(task.needs)
            and queue.labeller.person not in task.not_for
            for queue in self._queues
        )

    def _is_gold_due(self, queue: _Queue) -> bool:
        """Once in so many tasks, but not at a place that a person could foretell."""
        text = f"{queue.labeller.person} {queue.n_gold}".encode()
        phase = int.from_bytes(hashlib.sha256(text).digest()[:4]) / 2**32
        return queue.n_gold + phase <= self._gold_share * (queue.n_given + 1)

    def _move_to(self, taker: _Queue, keep: int) -> bool:
        """One task from whoever would come to it last; False: there is none."""
        for giver in sorted(self._queues, key=_ends_at_s, reverse=True):
            if giver is taker:
                continue
            first = keep if giver.labeller.is_working else 0
            for place in range(len(giver.held) - 1, first - 1, -1):
                held = giver.held[place]
                seconds = taker.labeller.seconds_for(held.task)
                if held.task.is_gold and giver.labeller.is_working:
                    continue  # it tests this person, at a rate
                if (
                    taker.load_s + seconds + MARGIN_S < _ends_at_s(giver)
                    and taker.labeller.person not in held.task.not_for
                    and (held.task.number, taker.labeller.person) not in self._taken
                    and taker.labeller.can_do(held.task.needs)
                ):
                    del giver.held[place]
                    giver.load_s -= giver.labeller.seconds_for(held.task)
                    taker.load_s += seconds
                    self._taken.add((held.task.number, taker.labeller.person))
                    task = held.task
                    given = Given(
                        task.number,
                        taker.labeller.person,
                        task.is_gold,
                        task.priority,
                        task.reason,
                    )
                    self.plan.moved.append(Move(held.lease, given))
                    return True
        return False


def _ends_at_s(queue: _Queue) -> float:
    """When a person is done; somebody who is not there: never."""
    return queue.load_s if queue.labeller.is_working else float("inf")
