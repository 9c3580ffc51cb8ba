"""What a balancing found and did."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sam_backend.dispatch.types import Needs
from sam_backend.json_form import as_json
from sam_backend.store.leases import Violation


@dataclass(frozen=True, slots=True)
class PersonReport:
    """One person's queue.

    Attributes:
        person: User id.
        name: Email address.
        is_present: False: away, or did not come back to a queue that has expired.
        seen_at: When they last saved or asked for something; None if never.
        queue: Tasks that they hold.
        expected_minutes: For those.
        seconds_a_mask: Moving average; what others need before they have labelled.
        done: Tasks that they have labelled or passed over.
        gold: Number of gold tasks among all that they ever had.
        violations: New annotations of theirs on tasks that were not in their queue.
    """

    person: str
    name: str
    is_present: bool
    seen_at: datetime | None
    queue: int
    expected_minutes: float
    seconds_a_mask: float
    done: int
    gold: int
    violations: int


@dataclass(frozen=True, slots=True)
class Balance:
    """A project's queues.

    Attributes:
        people: Everybody with a queue.
        tasks: Tasks of the project.
        labelled: Those that have all the annotations they want.
        given: New entries of queues.
        moved: Entries that changed queues.
        ended: Entries that ended, by outcome.
        unservable: Annotations that nobody with a queue may make, by what they ask for.
        violations: Annotations on tasks that were not in their author's queue, new ones.
        written: Tasks whose fields had to be changed in Label Studio.
    """

    people: tuple[PersonReport, ...]
    tasks: int
    labelled: int
    given: int
    moved: int
    ended: Mapping[str, int]
    unservable: Mapping[Needs, int]
    violations: tuple[Violation, ...]
    written: int = 0

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "people": as_json(self.people),
            "tasks": self.tasks,
            "labelled": self.labelled,
            "given": self.given,
            "moved": self.moved,
            "ended": dict(self.ended),
            "unservable": [
                {"skills": sorted(needs.skills), "language": needs.language, "annotations": count}
                for needs, count in self.unservable.items()
            ],
            "violations": as_json(self.violations),
            "tasks_written": self.written,
        }
