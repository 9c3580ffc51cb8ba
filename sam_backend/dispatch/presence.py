"""Whether somebody is there: gets tasks, keeps them, or lets others have them."""

from dataclasses import dataclass
from datetime import datetime, timedelta


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
