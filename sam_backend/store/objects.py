"""Bodies kept once, under the sha256 of their bytes, for as long as the database lives."""

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from sam_backend.store.database import Database
from sam_backend.store.tables import OBJECTS

_AT_ONCE = 500
_LEVEL = 1  # run lengths as decimal numbers: the fastest level makes a quarter of them


def canonical(value: Any) -> bytes:
    """JSON whose bytes depend on the value only: sorted keys, no spaces, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def digest_of(body: bytes) -> str:
    """sha256, lower-case hex."""
    return hashlib.sha256(body).hexdigest()


class Objects:
    """Content-addressed bodies. Safe for any number of threads and processes."""

    def __init__(self, database: Database) -> None:
        """Takes where they are kept."""
        self._database = database

    def put(self, connection: Connection, bodies: Mapping[str, bytes]) -> int:
        """Keeps bodies by their digests, as part of a transaction; returns how many are new."""
        known = {
            digest
            for some in _parts(list(bodies))
            for (digest,) in connection.execute(
                select(OBJECTS.c.digest).where(OBJECTS.c.digest.in_(some))
            )
        }
        rows = [
            {"digest": digest, "body": zlib.compress(bodies[digest], _LEVEL)}
            for digest in sorted(bodies.keys() - known)  # two writers never wait for each other
        ]
        self._database.insert_missing(connection, OBJECTS, rows)
        return len(rows)

    def get(self, digests: Iterable[str]) -> dict[str, bytes]:
        """Bodies by their digests.

        Raises:
            KeyError: One is not there.
            DatabaseError: The database cannot be reached.
        """
        wanted = list(dict.fromkeys(digests))
        found: dict[str, bytes] = {}
        with self._database.reading() as connection:
            for some in _parts(wanted):
                rows = connection.execute(select(OBJECTS).where(OBJECTS.c.digest.in_(some)))
                found.update((row.digest, zlib.decompress(row.body)) for row in rows)
        for digest in wanted:
            if digest not in found:
                raise KeyError(digest)
        return found

    def value(self, digest: str) -> Any:
        """One body, read as JSON."""
        return json.loads(self.get([digest])[digest])


def _parts(digests: Sequence[str]) -> Iterator[Sequence[str]]:
    return (digests[start : start + _AT_ONCE] for start in range(0, len(digests), _AT_ONCE))
