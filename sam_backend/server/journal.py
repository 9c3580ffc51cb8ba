"""The last things that went wrong, with their reasons: Label Studio shows annotators no error."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

log = logging.getLogger(__name__)

_MAX_SUBJECT = 100
_MAX_REASON = 400


@dataclass(frozen=True, slots=True)
class Entry:
    """One noteworthy event.

    Attributes:
        at: When it happened, UTC.
        level: "warning" when an answer was given all the same, "error" when there was none.
        subject: What it is about, e.g. "project 3.1795442316, task 14".
        reason: One sentence for the person who looks for the cause; holds no token.
    """

    at: datetime
    level: str
    subject: str
    reason: str


def utc_now() -> datetime:
    """The wall clock, UTC."""
    return datetime.now(tz=UTC)


def _one_line(text: str, limit: int) -> str:
    """Printable and bounded, whatever a request put into it."""
    line = "".join(letter if letter.isprintable() else "�" for letter in text[: limit + 1])
    return line if len(line) <= limit else line[: limit - 1] + "…"


class Journal:
    """A bounded list of entries, newest first; each is logged too. Safe under threads."""

    def __init__(self, capacity: int = 200, clock: Callable[[], datetime] = utc_now) -> None:
        self._entries: deque[Entry] = deque(maxlen=capacity)
        self._lock = threading.Lock()
        self._clock = clock

    def warn(self, subject: str, reason: str) -> None:
        """Record that something of a request was ignored."""
        self._add("warning", subject, reason)

    def error(self, subject: str, reason: str) -> None:
        """Record that a request got no mask."""
        self._add("error", subject, reason)

    def entries(self) -> list[Entry]:
        """All kept entries, newest first."""
        with self._lock:
            return list(reversed(self._entries))

    def _add(self, level: str, subject: str, reason: str) -> None:
        subject, reason = _one_line(subject, _MAX_SUBJECT), _one_line(reason, _MAX_REASON)
        log.log(logging.ERROR if level == "error" else logging.WARNING, "%s: %s", subject, reason)
        with self._lock:
            self._entries.append(Entry(self._clock(), level, subject, reason))
