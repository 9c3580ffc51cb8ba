"""What a check reports: one line of what was seen and, unless all is well, what to do."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal, TypeVar

Status = Literal["ok", "warn", "fail", "skipped"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check; neither text holds a token.

    Attributes:
        name: What was checked, e.g. "image access".
        status: "warn": clicks work, something else does not; "fail": clicks do not work.
        seen: What was seen, in one sentence.
        fix: What to do about it; empty if there is nothing to do.
    """

    name: str
    status: Status
    seen: str
    fix: str = ""


Check = Generator[Finding, None, T | None]
"""Yields findings while it looks; returns what later checks need, None if they cannot run."""
