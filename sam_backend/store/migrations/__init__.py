"""How the database came to be: one file in `versions/` for each change."""

import threading
from pathlib import Path

from sqlalchemy import Connection

from sam_backend.errors import DatabaseError

_ONE_AT_A_TIME = threading.Lock()  # Alembic keeps the running migration in globals of its own


def migrate(connection: Connection, address: str) -> None:
    """Brings a database up to date, inside the transaction that the caller has begun.

    Raises:
        DatabaseError: A newer version of this package has made the database; names `address`.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    with _ONE_AT_A_TIME:
        current = MigrationContext.configure(connection).get_current_revision()
        if current == scripts.get_current_head():
            return
        if current is not None and current not in known:
            raise DatabaseError(
                f"database {address} is of a newer sam_backend (its revision is {current!r}):"
                " update this one"
            )
        command.upgrade(config, "head")
