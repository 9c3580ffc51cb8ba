"""Which tasks go to whom: most urgent first, to whoever would be done with theirs soonest.

People take work as they get through it (list scheduling: R. L. Graham, "Bounds on Multiprocessing
Timing Anomalies", 1969): nobody's queue is longer than a while, and once nothing is left to give,
the ends of long queues move to people whose queues are short.
"""

import hashlib
import heapq
from collections import defaultdict, deque
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field

MARGIN_S = 60.0
"""A task moves only if that brings its end forward by more: else it would go back and forth."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a task asks of a person: all of the skills, and the language if it has one."""

    skills: frozenset[str] = frozenset()
    language: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FreeTask:
    """A task that wants more annotations than people hold or have done.

    Attributes:
        number: Of the task.
        places: Annotations that nobody is at yet, at least one.
        masks: Expected.
        not_for: People who hold it, or have labelled it or passed it over.
        needs: Of a person.
        is_gold: It tests people, who must not notice.
        priority: 0 to 1.
        reason: Why it is worth labelling now.
    """

    number: int
    places: int
    masks: float
    not_for: frozenset[str] = frozenset()
    needs: Needs = Needs()
    is_gold: bool = False
    priority: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class HeldTask:
    """A task in somebody's queue.

    Attributes:
        lease: Number of the lease.
        task: All of it, whose `not_for` has everybody who is at it.
    """

    lease: int
    task: FreeTask


@dataclass(frozen=True, slots=True, eq=False)
class Labeller:
    """A person with a queue.

    Attributes:
        person: User id.
        seconds_a_mask: Moving average.
        skills: Of the person.
        languages: Of the person.
        is_present: False: gets no more, and what they hold may move.
        held: Their queue, most urgent first.
        n_given: Tasks they ever had and did not give back.
        n_gold: How many of them were gold.
    """

    person: str
    seconds_a_mask: float
    skills: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    is_present: bool = True
    held: tuple[HeldTask, ...] = ()
    n_given: int = 0
    n_gold: int = 0

    def can_do(self, needs: Needs) -> bool:
        """Whether a task that asks for this may be theirs."""
        return needs.skills <= self.skills and (
            needs.language is None or needs.language in self.languages
        )

    def seconds_for(self, task: FreeTask) -> float:
        """Expected of this person."""
        return task.masks * self.seconds_a_mask


@dataclass(frozen=True, slots=True)
class Given:
    """A task for a person's queue; attributes as of a lease."""

    task: int
    person: str
    is_gold: bool
    priority: float
    reason: str


@dataclass(frozen=True, slots=True)
class Move:
    """A task from one queue to another."""

    lease: int
    given: Given


@dataclass(slots=True)
class Plan:
    """What should change.

    Attributes:
        given: New entries of queues.
        moved: Entries that change queues.
        unservable: Tasks that nobody can do, by what they ask for.
    """

    given: list[Given] = field(default_factory=list)
    moved: list[Move] = field(default_factory=list)
    unservable: dict[Needs, int] = field(default_factory=dict)


def aged(priority: float, waited_s: float, patience_s: float) -> float:
    """A priority that grows to 1 while a task waits, so that none waits for ever."""
    return priority + (1 - priority) * min(1.0, max(0.0, waited_s) / patience_s)


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
        gold_share: Of a person's tasks that should be gold, 0 to 1.
        keep: Tasks at the head of a present person's queue that do not move: they may be open.
    """
    planner = _Planner(people, tasks, horizon_s, gold_share)
    planner.fill()
    planner.level(keep)
    return planner.plan


class _Queue:
    """One person's, while it is planned."""

    def __init__(self, labeller: Labeller) -> None:
        self.labeller = labeller
        self.held = list(labeller.held)
        self.load_s = sum(labeller.seconds_for(one.task) for one in self.held)
        self.n_given, self.n_gold = labeller.n_given, labeller.n_gold


class _Pool:
    """Free tasks that ask for the same, most urgent first."""

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self.waiting: deque[tuple[FreeTask, list[int]]] = deque()  # with the places left

    def add(self, task: FreeTask) -> None:
        self.waiting.append((task, [task.places]))

    def first_for(self, person: str, taken: Container[tuple[int, str]]) -> int | None:
        """Where the most urgent one is that this person is not at yet."""
        for place, (task, _) in enumerate(self.waiting):
            if person not in task.not_for and (task.number, person) not in taken:
                return place
        return None

    def take(self, place: int) -> FreeTask:
        """The task there, with one of its places less."""
        task, left = self.waiting[place]
        left[0] -= 1
        if not left[0]:
            del self.waiting[place]
        return task


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
        pools: dict[tuple[bool, Needs], _Pool] = {}
        for task in sorted(tasks, key=lambda one: (-one.priority, one.number)):
            key = (task.is_gold, task.needs)
            if key not in pools:
                pools[key] = _Pool(task.needs)
            pools[key].add(task)
        self._pools: dict[bool, list[_Pool]] = defaultdict(list)
        self._masks_a_s: dict[Needs, float] = {}
        for (is_gold, needs), pool in pools.items():
            able = [queue.labeller for queue in self._queues if queue.labeller.can_do(needs)]
            self._masks_a_s[needs] = sum(1 / one.seconds_a_mask for one in able)
            if able:
                self._pools[is_gold].append(pool)
            else:
                count = sum(left[0] for _, left in pool.waiting)
                self.plan.unservable[needs] = self.plan.unservable.get(needs, 0) + count

    def fill(self) -> None:
        """Give tasks to whoever has least to do, until all have enough."""
        heap = [
            (queue.load_s, place)
            for place, queue in enumerate(self._queues)
            if queue.labeller.is_present and queue.load_s < self._horizon_s
        ]
        heapq.heapify(heap)
        while heap:
            _, place = heapq.heappop(heap)
            queue = self._queues[place]
            if self._give(queue) and queue.load_s < self._horizon_s:
                heapq.heappush(heap, (queue.load_s, place))

    def level(self, keep: int) -> None:
        """Move the ends of long queues to people who will have nothing to do sooner."""
        takers = [queue for queue in self._queues if queue.labeller.is_present]
        while takers:
            taker = min(takers, key=lambda queue: queue.load_s)
            if taker.load_s >= self._horizon_s or not self._move_to(taker, keep):
                takers.remove(taker)

    def _give(self, queue: _Queue) -> bool:
        ordinary = self._first_for(queue, is_gold=False)
        gold = self._first_for(queue, is_gold=True)
        if ordinary is None or (gold is not None and self._is_gold_due(queue)):
            found = gold
        else:
            found = ordinary
        if found is None:
            return False
        pool, place = ordinary or found
        looks, _ = pool.waiting[place]  # gold looks like what would have come
        pool, place = found
        task = pool.take(place)
        person = queue.labeller.person
        self._taken.add((task.number, person))
        self.plan.given.append(
            Given(task.number, person, task.is_gold, looks.priority, looks.reason)
        )
        queue.load_s += queue.labeller.seconds_for(task)
        queue.n_given += 1
        queue.n_gold += task.is_gold
        return True

    def _first_for(self, queue: _Queue, is_gold: bool) -> tuple[_Pool, int] | None:
        """What few can do comes first, but for tasks that have waited too long."""
        pools = [pool for pool in self._pools[is_gold] if queue.labeller.can_do(pool.needs)]
        for pool in sorted(pools, key=self._place_of):
            place = pool.first_for(queue.labeller.person, self._taken)
            if place is not None:
                return pool, place
        return None

    def _is_gold_due(self, queue: _Queue) -> bool:
        """Once in so many tasks, but not at a place that a person could foretell."""
        text = f"{queue.labeller.person} {queue.n_gold}".encode()
        phase = int.from_bytes(hashlib.sha256(text).digest()[:4]) / 2**32
        return queue.n_gold + phase <= self._gold_share * (queue.n_given + 1)

    def _place_of(self, pool: _Pool) -> tuple[bool, float]:
        is_late = bool(pool.waiting) and pool.waiting[0][0].priority >= 1
        return not is_late, self._masks_a_s[pool.needs]

    def _move_to(self, taker: _Queue, keep: int) -> bool:
        """One task from whoever would come to it last; False: there is none."""
        for giver in sorted(self._queues, key=_ends_at_s, reverse=True):
            if giver is taker:
                continue
            first = keep if giver.labeller.is_present else 0
            for place in range(len(giver.held) - 1, first - 1, -1):
                held = giver.held[place]
                seconds = taker.labeller.seconds_for(held.task)
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
    return queue.load_s if queue.labeller.is_present else float("inf")
