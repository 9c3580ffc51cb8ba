"""Alembic runs this file; the connection, inside a transaction, comes from `open_database`."""

from alembic import context

from sam_backend.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite cannot alter a column: the table is copied
)
context.run_migrations()
