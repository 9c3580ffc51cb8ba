"""A team of uneven speed on one project: queues that are balanced against tasks dealt out in turn.

    python -m benchmarks.dispatch [--people 50] [--tasks 10000] [--seed 0]

Time is simulated; what decides is the planner that `sam-backend tasks balance` uses. Some tasks
arrive while people work, some people come late, some leave with a full queue without a word and
come back hours later, some never.
"""

import argparse
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from sam_backend.dispatch.planning import plan_queues
from sam_backend.dispatch.throughput import moved
from sam_backend.dispatch.types import DispatchSettings, FreeTask, HeldTask, Labeller, Presence

TICK_S = 60.0
SETTINGS = DispatchSettings()
START = datetime(2026, 1, 2, 8, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Team:
    """What happens, whoever deals out the tasks.

    Attributes:
        seconds_a_mask: Of each person, shape (P,).
        here: When each person is there: spans of (from, until) in seconds.
        masks: Of each task, shape (N,).
        arrives_s: When each task is there, shape (N,).
        priority: Of each task, 0 to 1, shape (N,).
    """

    seconds_a_mask: np.ndarray
    here: tuple[tuple[tuple[float, float], ...], ...]
    masks: np.ndarray
    arrives_s: np.ndarray
    priority: np.ndarray

    @classmethod
    def drawn(cls, people: int, tasks: int, seed: int) -> "Team":
        """Speeds differ by a factor of five or so; a third of the tasks arrives later."""
        rng = np.random.default_rng(seed)
        seconds = rng.lognormal(np.log(18), 0.4, people)
        masks = np.maximum(1, rng.poisson(rng.lognormal(np.log(10), 0.5, tasks)))
        whole_s = masks.sum() / (1 / seconds).sum()
        arrives = np.where(rng.random(tasks) < 1 / 3, rng.uniform(0, 0.7 * whole_s, tasks), 0.0)
        here = []
        for _ in range(people):
            chance = rng.random()
            leaves = rng.uniform(0.1, 0.8) * whole_s
            if chance < 0.1:
                here.append(((rng.uniform(0.05, 0.3) * whole_s, np.inf),))
            elif chance < 0.3:
                here.append(((0.0, leaves), (leaves + rng.uniform(1, 3) * 3600, np.inf)))
            elif chance < 0.36:
                here.append(((0.0, leaves),))
            else:
                here.append(((0.0, np.inf),))
        return cls(seconds, tuple(here), masks, np.sort(arrives), rng.random(tasks))

    def bound_s(self) -> float:
        """Nobody can be done sooner: at each moment, what arrives from then on, by all who work."""
        best = 0.0
        order = np.argsort(self.arrives_s)
        left = np.cumsum(self.masks[order][::-1])[::-1]
        for place in range(0, len(order), max(1, len(order) // 200)):
            start = self.arrives_s[order[place]]
            best = max(best, self._done_at(start, float(left[place])))
        return max(best, self._done_at(0.0, float(self.masks.sum())))

    def _done_at(self, start: float, masks: float) -> float:
        edges = sorted({start, *(t for spans in self.here for span in spans for t in span)})
        for begin, end in zip(edges, [*edges[1:], np.inf], strict=True):
            if begin < start or begin == np.inf:
                continue
            rate = sum(
                1 / seconds
                for seconds, spans in zip(self.seconds_a_mask, self.here, strict=True)
                if any(a <= begin < b for a, b in spans)
            )
            if rate and masks <= rate * (end - begin):
                return begin + masks / rate
            masks -= rate * (end - begin)
        raise ValueError("the team never gets done")


@dataclass(slots=True)
class Outcome:
    """How it went.

    Attributes:
        makespan_s: Until the last task is done.
        waited_s: From a task's arrival to its end, shape (N,).
        idle_s: That people were there with nothing in their queue while tasks waited elsewhere.
        done_by: How often each task was done.
        moves: Tasks that changed queues.
    """

    makespan_s: float
    waited_s: np.ndarray
    idle_s: float
    done_by: np.ndarray
    moves: int = 0


def work_through(team: Team, balanced: bool) -> Outcome:
    """Simulate a team until all is done."""
    return (_Balanced if balanced else _InTurn)(team).run()


@dataclass(slots=True)
class _Person:
    number: int
    seconds_a_mask: float
    queue: deque[int] = field(default_factory=deque)
    working_on: int | None = None
    done_at: float = np.inf
    seen_at: float | None = None
    last_given: float | None = None
    returned_at: float | None = None
    pace: float = 18.0
    n_done: int = 0


class _Simulation(ABC):
    """People work through their queues; what fills them is a subclass's."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.people = [_Person(n, float(s)) for n, s in enumerate(team.seconds_a_mask)]
        self.done = np.zeros(len(team.masks), int)
        self.ended_s = np.full(len(team.masks), np.nan)
        self.idle_s = 0.0
        self.moves = 0

    def is_here(self, person: _Person, now: float) -> bool:
        return any(a <= now < b for a, b in self.team.here[person.number])

    @abstractmethod
    def fill(self, now: float) -> None:
        """Bring the queues up to date."""

    def run(self) -> Outcome:
        now = 0.0
        n_tasks = len(self.team.masks)
        while self.done.sum() < n_tasks:
            self.fill(now)
            until = now + TICK_S
            for person in self.people:
                self._work(person, now, until)
            now = until
        waited = self.ended_s - self.team.arrives_s
        return Outcome(float(np.nanmax(self.ended_s)), waited, self.idle_s, self.done, self.moves)

    def _work(self, person: _Person, now: float, until: float) -> None:
        if not self.is_here(person, now):
            person.done_at += until - now  # what is half done waits in the page
            return
        if person.seen_at is None or person.working_on is None:
            person.seen_at = now
        at = now
        while at < until:
            if person.working_on is None:
                if not person.queue:
                    is_waiting = (np.isnan(self.ended_s) & (self.team.arrives_s <= at)).sum()
                    if is_waiting > sum(one.working_on is not None for one in self.people):
                        self.idle_s += until - at
                    return
                person.working_on = person.queue.popleft()
                masks = self.team.masks[person.working_on]
                person.done_at = at + masks * person.seconds_a_mask
            if person.done_at > until:
                return
            at = person.done_at
            self._finish(person, at)

    def _finish(self, person: _Person, at: float) -> None:
        task = person.working_on
        if task is None:
            raise ValueError("nothing to finish")
        self.done[task] += 1
        self.ended_s[task] = at
        person.n_done += 1
        person.pace = moved(person.pace, person.seconds_a_mask, person.n_done)
        person.working_on, person.seen_at = None, at


class _InTurn(_Simulation):
    """Each task goes to the next person when it arrives, and stays there."""

    def __init__(self, team: Team) -> None:
        super().__init__(team)
        self._arriving = deque(range(len(team.masks)))
        self._turn = 0
        # dealt to somebody who never comes back, a task would never end: those get none
        self._dealt = [p for p in self.people if team.here[p.number][-1][1] == np.inf]

    def fill(self, now: float) -> None:
        while self._arriving and self.team.arrives_s[self._arriving[0]] <= now:
            self._dealt[self._turn % len(self._dealt)].queue.append(self._arriving.popleft())
            self._turn += 1


class _Balanced(_Simulation):
    """Queues are filled and levelled once a minute, absent people's tasks go back."""

    def __init__(self, team: Team) -> None:
        super().__init__(team)
        self._arriving = deque(range(len(team.masks)))
        self._free: dict[int, None] = {}
        self._mean_masks = 10.0

    def fill(self, now: float) -> None:
        while self._arriving and self.team.arrives_s[self._arriving[0]] <= now:
            self._free[self._arriving.popleft()] = None
        self._return(now)
        people = [self._labeller(person, now) for person in self.people]
        plan = plan_queues(people, list(self._tasks()), SETTINGS.horizon_s, 0.0)
        for move in plan.moved:
            for person in self.people:
                if move.given.task in person.queue:
                    person.queue.remove(move.given.task)
                elif person.working_on == move.given.task:
                    person.working_on = None
        for given in (*(move.given for move in plan.moved), *plan.given):
            self._free.pop(given.task, None)
            person = self.people[int(given.person)]
            person.queue.append(given.task)
            person.last_given = now
        self.moves += len(plan.moved)

    def _return(self, now: float) -> None:
        for person in self.people:
            given = person.last_given
            is_expired = given is not None and given + SETTINGS.lease_s < now
            held = self._held(person)
            if held and is_expired and self._presence(person, now).is_idle:
                self._free.update(dict.fromkeys(held))
                person.queue.clear()
                person.working_on, person.returned_at = None, now

    def _held(self, person: _Person) -> list[int]:
        open_ = [] if person.working_on is None else [person.working_on]
        return [*open_, *person.queue]

    def _presence(self, person: _Person, now: float) -> Presence:
        return Presence(
            _moment(now),
            timedelta(seconds=SETTINGS.absent_after_s),
            is_expected=True,
            seen_at=None if person.seen_at is None else _moment(person.seen_at),
            told_at=START,
            given_at=None if person.last_given is None else _moment(person.last_given),
            returned_at=None if person.returned_at is None else _moment(person.returned_at),
        )

    def _labeller(self, person: _Person, now: float) -> Labeller:
        tasks, presence = self._held(person), self._presence(person, now)
        return Labeller(
            str(person.number),
            person.pace,
            is_present=presence.gets_tasks,
            limit=presence.limit,
            n_given=person.n_done + len(tasks),
            held=tuple(HeldTask(task, self._task(task, str(person.number))) for task in tasks),
        )

    def _tasks(self) -> Iterator[FreeTask]:
        for task in self._free:
            yield self._task(task)

    def _task(self, task: int, holder: str | None = None) -> FreeTask:
        return FreeTask(
            task,
            1,
            self._mean_masks,  # what a task will take is not known before
            frozenset() if holder is None else frozenset({holder}),
            priority=float(self.team.priority[task]),
        )


def _moment(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    team = Team.drawn(options.people, options.tasks, options.seed)
    bound_s = team.bound_s()
    hours = f"{bound_s / 3600:.2f}"
    print(f"{options.people} people, {options.tasks:,} tasks, {team.masks.sum():,} masks\n")
    print("| | hours until all is done | of the bound | longest wait, h | idle, person-hours |")
    print("|---|---|---|---|---|")
    print(f"| bound | {hours} | 1 | | |")
    for name, balanced in (("dealt in turn", False), ("balanced", True)):
        told = work_through(team, balanced)
        if not (told.done_by == 1).all():
            raise RuntimeError("a task was done twice")
        print(
            f"| {name} | {told.makespan_s / 3600:.2f} | {told.makespan_s / bound_s:.3f} "
            f"| {told.waited_s.max() / 3600:.2f} | {told.idle_s / 3600:.1f} |"
        )


if __name__ == "__main__":
    main()
