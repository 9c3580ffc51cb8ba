"""What could not be used: how many of what, for which reason, and which ones by name."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

MAX_NAMES = 100
"""Names kept for each reason: a project of a million missing images would fill the memory."""

SHOWN_NAMES = 10
"""Names in a line for people."""

_MAX_NAME = 300


class LeftOut(Mapping[str, int]):
    """Counts what was left out, by reason, and keeps the first names of each reason.

    As a mapping it is the counts by reason. Not safe for several threads.

    Args:
        counts: To begin with, by reason; another `LeftOut` brings its names along.
    """

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self._counts: dict[str, int] = {}
        self._names: dict[str, list[str]] = {}
        if counts is not None:
            self.update(counts)

    def __getitem__(self, reason: str) -> int:
        return self._counts[reason]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def __repr__(self) -> str:
        return f"LeftOut({self._counts})"

    def add(self, reason: str, name: str | None = None, count: int = 1) -> None:
        """Count something that is left out.

        Args:
            reason: Why, in words that are the same for all of a kind.
            name: Which one, and what is particular to it, such as "task 14, region a1: 3 px".
            count: How many; 0 changes nothing.
        """
        if count < 1:
            return
        self._counts[reason] = self._counts.get(reason, 0) + count
        if name is not None:
            self._keep(reason, [name])

    def add_names(self, reason: str, names: Iterable[str]) -> None:
        """Name some that are counted already."""
        self._keep(reason, names)

    def update(self, other: Mapping[str, int]) -> None:
        """Add another's counts, and its names."""
        for reason, count in other.items():
            self.add(reason, count=count)
            if isinstance(other, LeftOut):
                self._keep(reason, other.names(reason))

    def names(self, reason: str) -> tuple[str, ...]:
        """The first `MAX_NAMES` that have one, in the order they were left out."""
        return tuple(self._names.get(reason, ()))

    def lines(self) -> list[str]:
        """One line for people for each reason: how many, why, and which (`SHOWN_NAMES` of them)."""
        return [self._line(reason) for reason in self._counts]

    def as_json(self) -> dict[str, dict[str, Any]]:
        """`{reason: {"count": …, "which": [names]}}`."""
        return {
            reason: {"count": count, "which": list(self.names(reason))}
            for reason, count in self._counts.items()
        }

    @classmethod
    def from_json(cls, told: Any) -> "LeftOut":
        """What `as_json` wrote; plain counts are read too, anything else is passed over."""
        found = cls()
        for reason, one in told.items() if isinstance(told, dict) else ():
            inner = one if isinstance(one, dict) else {"count": one}
            count, which = inner.get("count"), inner.get("which")
            if isinstance(count, int) and not isinstance(count, bool):
                found.add(str(reason), count=count)
                if count > 0 and isinstance(which, list):
                    found._keep(str(reason), map(str, which))
        return found

    def _keep(self, reason: str, names: Iterable[str]) -> None:
        kept = self._names.setdefault(reason, [])
        for name in names:
            if len(kept) < MAX_NAMES:
                kept.append(name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…")

    def _line(self, reason: str) -> str:
        count, names = self._counts[reason], self.names(reason)[:SHOWN_NAMES]
        told = f"{count} x {reason}"
        if not names:
            return told
        more = f"; and {count - len(names)} more" if count > len(names) else ""
        return f"{told} ({'; '.join(names)}{more})"
