"""Lots of bulk runs: what was drawn of them, every look at them, and what became of them.

The log only grows. Beside it stands each lot's verdict, which says how much is asked of the next
lot. A rejected lot stays rejected, whatever is looked at later, until it is reopened for a reason.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from sam_backend.errors import InvalidInputError
from sam_backend.json_form import current_names
from sam_backend.store.database import Database
from sam_backend.store.tables import LOT_RECORDS, LOTS

SAMPLED, LOOKED, REOPENED, QUARANTINED = "sampled", "looked", "reopened", "quarantined"
"""Kinds of records."""
ACCEPTED, REJECTED, UNDECIDED = "accept", "reject", "continue sampling"
"""Verdicts, as `sam_backend.metrics.acceptance.Verdict` writes them."""


@dataclass(frozen=True, slots=True)
class LotRecord:
    """One entry of a lot's log.

    Attributes:
        kind: `SAMPLED`, `LOOKED`, `REOPENED` or `QUARANTINED`.
        document: What happened; its names depend on the kind.
        at: When.
    """

    kind: str
    document: dict[str, Any]
    at: datetime


class Lots:
    """Verdicts by run, and how they came about. Safe for any number of threads and processes.

    Args:
        database: Where they are kept.
        now: The clock, with a time zone.
    """

    def __init__(
        self, database: Database, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._database = database
        self._now = now

    def verdicts(self, without: str) -> list[str]:
        """Verdicts of all runs but this one, in the order in which they were first judged."""
        query = select(LOTS.c.verdict).where(LOTS.c.run != without).order_by(LOTS.c.at, LOTS.c.run)
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())

    def verdict(self, run: str) -> str | None:
        """The verdict that stands; None: the lot was never decided."""
        with self._database.reading() as connection:
            found = connection.execute(select(LOTS.c.verdict).where(LOTS.c.run == run)).scalar()
        return None if found is None else str(found)

    def history(self, run: str) -> list[LotRecord]:
        """The log of a run, oldest first."""
        query = (
            select(LOT_RECORDS.c.kind, LOT_RECORDS.c.document, LOT_RECORDS.c.at)
            .where(LOT_RECORDS.c.run == run)
            .order_by(LOT_RECORDS.c.id)
        )
        with self._database.reading() as connection:
            return [
                LotRecord(row.kind, current_names(row.document), row.at)
                for row in connection.execute(query)
            ]

    def sample(self, run: str) -> dict[str, Any] | None:
        """The sample that was drawn last since the lot was (re)opened, as `sampled` was told."""
        for record in reversed(self.history(run)):
            if record.kind == REOPENED:
                return None
            if record.kind == SAMPLED:
                return record.document
        return None

    def sampled(self, run: str, document: dict[str, Any]) -> None:
        """Keep how a sample of a run was drawn; the same `document` again adds nothing."""
        if self.sample(run) != document:
            self._add(run, SAMPLED, document)

    def looked(self, run: str, verdict: str, severity: str, document: dict[str, Any]) -> str:
        """Keep a look at a lot, and return the verdict that stands after it.

        Args:
            run: The lot.
            verdict: What the sample says at this look.
            severity: How much was asked, kept with the verdict.
            document: What was seen.
        """
        with self._database.writing() as connection:
            self._database.lock(connection, f"lot {run}")
            before = connection.execute(select(LOTS.c.verdict).where(LOTS.c.run == run)).scalar()
            stands = REJECTED if before == REJECTED else verdict
            if before is None and stands != UNDECIDED:
                connection.execute(
                    LOTS.insert().values(run=run, verdict=stands, severity=severity, at=self._now())
                )
            elif before not in (None, stands):
                values = {"verdict": stands, "severity": severity}
                connection.execute(LOTS.update().where(LOTS.c.run == run).values(values))
            kept = document | {"look": verdict, "verdict": stands}
            connection.execute(
                LOT_RECORDS.insert().values(run=run, kind=LOOKED, document=kept, at=self._now())
            )
        return stands

    def reopen(self, run: str, reason: str) -> None:
        """Let a lot be sampled and judged anew; its verdict counts as undecided from now on.

        Raises:
            InvalidInputError: There is no reason.
        """
        if not reason.strip():
            raise InvalidInputError("a lot is reopened for a reason, and none was given")
        with self._database.writing() as connection:
            self._database.lock(connection, f"lot {run}")
            connection.execute(LOTS.update().where(LOTS.c.run == run).values(verdict=UNDECIDED))
            document = {"reason": reason}
            connection.execute(
                LOT_RECORDS.insert().values(
                    run=run, kind=REOPENED, document=document, at=self._now()
                )
            )

    def quarantined(self, run: str, document: dict[str, Any]) -> None:
        """Keep that a lot's predictions were taken out of a project."""
        self._add(run, QUARANTINED, document)

    def _add(self, run: str, kind: str, document: dict[str, Any]) -> None:
        with self._database.writing() as connection:
            connection.execute(
                LOT_RECORDS.insert().values(run=run, kind=kind, document=document, at=self._now())
            )
