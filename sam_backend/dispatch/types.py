"""People with queues and tasks that wait, as the planner sees them; and what it plans."""

from dataclasses import dataclass, field


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
