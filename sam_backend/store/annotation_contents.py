"""What is on an annotation, by the digest of its state: read once, for a state never changes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import delete, null, select

from sam_backend.store.database import Database
from sam_backend.store.tables import ANNOTATION_CONTENTS

_AT_ONCE = 500
_IS_OLD = ANNOTATION_CONTENTS.c.unread.is_(null())  # of a release that did not keep all of it


@dataclass(frozen=True, slots=True)
class Contents:
    """What is on an annotation.

    Attributes:
        labels: Objects by label.
        sizes: Objects by size: small, medium, large.
        unread: Objects that have no size, for their shape cannot be decoded: which, and why.
    """

    labels: Mapping[str, int]
    sizes: Mapping[str, int]
    unread: tuple[str, ...] = ()


class AnnotationContents:
    """The contents of annotations. Safe for any number of threads and processes."""

    def __init__(self, database: Database) -> None:
        """Takes where they are kept."""
        self._database = database

    def put(self, found: Mapping[str, Contents]) -> None:
        """Keeps contents by digest of the state."""
        rows = [
            {
                "digest": digest,
                "labels": dict(one.labels),
                "sizes": dict(one.sizes),
                "unread": list(one.unread),
            }
            for digest, one in sorted(found.items())
        ]
        with self._database.writing() as connection:
            for start in range(0, len(rows), _AT_ONCE):
                some = [row["digest"] for row in rows[start : start + _AT_ONCE]]
                connection.execute(
                    delete(ANNOTATION_CONTENTS).where(
                        ANNOTATION_CONTENTS.c.digest.in_(some), _IS_OLD
                    )
                )
            self._database.insert_missing(connection, ANNOTATION_CONTENTS, rows)

    def get(self, digests: Collection[str]) -> dict[str, Contents]:
        """Those that are known, by digest."""
        wanted, found = sorted(digests), dict[str, Contents]()
        with self._database.reading() as connection:
            for start in range(0, len(wanted), _AT_ONCE):
                asked = select(ANNOTATION_CONTENTS).where(
                    ANNOTATION_CONTENTS.c.digest.in_(wanted[start : start + _AT_ONCE]), ~_IS_OLD
                )
                for row in connection.execute(asked):
                    found[row.digest] = Contents(row.labels, row.sizes, tuple(row.unread))
        return found
