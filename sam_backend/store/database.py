"""The database of jobs and events: SQLite in a file, or PostgreSQL by its address."""

import hashlib
import json
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Row, Table, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from sam_backend.datasets.image_files import readable_name
from sam_backend.errors import DatabaseError, InvalidInputError
from sam_backend.files import lock
from sam_backend.settings import Settings
from sam_backend.store.migrations import migrate

_BUSY_S = 30  # SQLite: how long a writer waits for another one
_CONNECT_S = 10
_MIGRATION_LOCK = 0x5A4DBACE  # names our lock among those of one PostgreSQL database
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


@dataclass(frozen=True, slots=True)
class Database:
    """An open database, for any number of threads; a forked process must open its own.

    Attributes:
        address: Where it is, for people: without user and password.
        engine: SQLAlchemy's.
    """

    address: str
    engine: Engine = field(repr=False)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One transaction that only reads.

        Raises:
            DatabaseError: The database cannot be reached.
        """
        with self._transaction(writes=False) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, committed when the block ends well.

        SQLite has one writer at a time, from the beginning of the transaction on; PostgreSQL has
        many, so what was read before it is written must be locked.

        Raises:
            DatabaseError: The database cannot be reached or written.
        """
        with self._transaction(writes=True) as connection:
            yield connection

    def lock(self, connection: Connection, name: str) -> None:
        """Waits until no other transaction holds the lock of this name; its own end frees it.

        SQLite's writers come one after the other anyhow.
        """
        if self.engine.dialect.name == "postgresql":
            key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
            connection.execute(_LOCK, {"key": key})

    def insert_new(self, connection: Connection, table: Table, **row: Any) -> Row[Any] | None:
        """Inserts a row and returns it; None: one that must be unique is there already."""
        dialect = postgresql if self.engine.dialect.name == "postgresql" else sqlite
        insert = dialect.insert(table).values(**row).on_conflict_do_nothing().returning(table)
        return connection.execute(insert).first()

    def insert_missing(
        self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Inserts rows; those whose keys are there already stay as they are."""
        if rows:
            dialect = postgresql if self.engine.dialect.name == "postgresql" else sqlite
            connection.execute(dialect.insert(table).on_conflict_do_nothing(), list(rows))

    def put(self, connection: Connection, table: Table, **row: Any) -> None:
        """Inserts a row, in the place of one with the same primary key."""
        dialect = postgresql if self.engine.dialect.name == "postgresql" else sqlite
        keys = [column.name for column in table.primary_key]
        rest = {name: value for name, value in row.items() if name not in keys}
        statement = dialect.insert(table).values(**row)
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=rest))

    def close(self) -> None:
        """Closes its connections."""
        self.engine.dispose()

    @contextmanager
    def _transaction(self, writes: bool) -> Iterator[Connection]:
        try:
            with self.engine.execution_options(writes=writes).begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise DatabaseError(f"database {self.address}: {_reason(error)}") from error


def open_database(settings: Settings) -> Database:
    """Opens the database that the settings name, made and brought up to date where needed.

    Any number of processes may do so at once.

    Raises:
        InvalidInputError: The address is wrong, or of another kind of database.
        DatabaseError: It cannot be opened, or a newer version of this package has made it.
    """
    url = _url(settings)
    address = _shown(url)
    try:
        engine = _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url)
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise DatabaseError(f"cannot open database {address}: {_reason(error)}") from error
    database = Database(address, engine)
    try:
        with database.writing() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(_LOCK, {"key": _MIGRATION_LOCK})
            migrate(connection, address)
    except BaseException:
        database.close()
        raise
    return database


def _url(settings: Settings) -> URL:
    """The address, with the driver that we have; no error of it may show the password."""
    if settings.database_url is None:
        file = (settings.data_dir / "sam_backend.db").absolute()
        return URL.create("sqlite", database=str(file))
    try:
        url = make_url(settings.database_url.get_secret_value())
    except (SQLAlchemyError, ValueError):
        raise InvalidInputError(
            "SAM_BACKEND_DATABASE_URL is no address such as postgresql://user:password@host/name;"
            " special characters of the password must be percent-encoded"
        ) from None
    kind = url.get_backend_name()
    if kind in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise InvalidInputError(f"database {kind!r} is not supported: sqlite or postgresql")
    if url.database in {None, "", ":memory:"}:
        raise InvalidInputError("an SQLite database must be a file: sqlite:///folder/file.db")
    return url.set(drivername="sqlite")


def _shown(url: URL) -> str:
    """The address without user, password and options, as text that logs and JSON take."""
    name = url.database and readable_name(url.database)
    bare = URL.create(url.get_backend_name(), host=url.host, port=url.port, database=name)
    return bare.render_as_string()


def _sqlite(url: URL) -> Engine:
    file = Path(str(url.database))
    file.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        connect_args={"timeout": _BUSY_S, "isolation_level": None},  # we begin transactions
        hide_parameters=True,
        json_serializer=_to_json,
    )

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads and then writes would fail if another one wrote in between.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    # The file remembers the mode. Changing it does not wait for other processes: we do.
    with lock(file.with_name(file.name + ".lock")):
        connection = engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
    return engine


def _postgresql(url: URL) -> Engine:
    options = {} if "connect_timeout" in url.query else {"connect_timeout": _CONNECT_S}
    try:
        return create_engine(
            url,
            connect_args=options,
            hide_parameters=True,
            json_serializer=_to_json,
            pool_pre_ping=True,  # the server may have been restarted
        )
    except ModuleNotFoundError as error:
        raise DatabaseError(
            f"PostgreSQL needs {error.name}: pip install '.[postgres]' in a clone"
        ) from error


def _reason(error: Exception) -> str:
    """What the driver said, in one line, without the statement."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return " ".join(str(cause).split()) or type(cause).__name__


def _to_json(value: object) -> str:
    """JSON as the standard has it: figures that are not finite (a loss that ran away) are null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
