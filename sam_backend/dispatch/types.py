"""What the planner of queues sees, people and tasks that wait, and what it plans."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Needs:
    """What a task asks of a person: all of the skills, and the language if it has one."""

    skills: frozenset[str] = frozenset()
    language: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FreeTask:
    """A task that wants more annotations than people hold or have done.

    Attributes:
        number: Number of the task.
        places: Annotations that nobody is at yet, at least one.
        masks: Expected.
        not_for: People who hold it, or have labelled it or passed it over.
        needs: What the task asks of a person.
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
        skills: Skills of the person.
        languages: Languages of the person.
        is_present: False: gets no more, and what they hold may move.
        is_expected: Not away and not gone: may do tasks one day.
        limit: Tasks in the queue at the most.
        held: Their queue, most urgent first.
        n_given: Tasks they ever had and did not give back.
        n_gold: How many of them were gold.
    """

    person: str
    seconds_a_mask: float
    skills: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    is_present: bool = True
    is_expected: bool = True
    limit: int | None = None
    held: tuple[HeldTask, ...] = ()
    n_given: int = 0
    n_gold: int = 0

    @property
    def is_working(self) -> bool:
        """Present, and not only expected to come."""
        return self.is_present and self.limit is None

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
        unservable: Annotations that nobody who is expected can make, by what they ask for.
    """

    given: list[Given] = field(default_factory=list)
    moved: list[Move] = field(default_factory=list)
    unservable: dict[Needs, int] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True)
class Presence:
    """What is known of one person at one moment.

    Attributes:
        now: The moment.
        absent_after: Somebody who was not seen for so long is not there.
        is_expected: Not away, and with an account.
        seen_at: When they last did something; None if never.
        told_at: From when on they were said to be here.
        given_at: When they last got a task; None if never.
        returned_at: When what they held was last taken back; None if never.
    """

    now: datetime
    absent_after: timedelta
    is_expected: bool
    seen_at: datetime | None
    told_at: datetime
    given_at: datetime | None
    returned_at: datetime | None

    @property
    def heard_at(self) -> datetime:
        """When they last did something, or were said to be here from then on."""
        return self.told_at if self.seen_at is None else max(self.told_at, self.seen_at)

    @property
    def is_idle(self) -> bool:
        """Not seen for long."""
        return self.seen_at is None or self.seen_at + self.absent_after < self.now

    @property
    def is_back(self) -> bool:
        """Expected, and heard of since a queue of theirs has expired."""
        return self.is_expected and (self.returned_at is None or self.heard_at > self.returned_at)

    @property
    def gets_tasks(self) -> bool:
        """Whether the queue is filled.

        A queue is filled once for whoever may come, then people must be seen; somebody who let one
        expire finds a task when they come (`limit`), and then more.
        """
        is_due = self.given_at is None or self.given_at <= self.heard_at
        return self.is_expected and (not self.is_back or is_due or not self.is_idle)

    @property
    def limit(self) -> int | None:
        """Tasks in the queue at the most."""
        return None if self.is_back else 1
