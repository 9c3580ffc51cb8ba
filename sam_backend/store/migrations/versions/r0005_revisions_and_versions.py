"""Revisions of annotations and tasks, versions of data sets, and the bodies of both."""

import sqlalchemy as sa
from alembic import op

from sam_backend.store.migrations.append_only import refuse_changes

revision = "0005"
down_revision = "0004"

_APPEND_ONLY = ("objects", "revisions", "versions", "version_tags")


def upgrade() -> None:
    """Four tables more, whose rows the database itself keeps from being changed."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "objects",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "revisions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.String(64), nullable=False, unique=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("project", sa.Integer, nullable=False),
        sa.Column("subject", sa.String(16), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("task", sa.BigInteger),
        sa.Column("change", sa.String(64), nullable=False),
        sa.Column("person", sa.String(64)),
        sa.Column("stamp", moment, nullable=False),
        sa.Column("digest", sa.String(64)),
        sa.Column("regions", sa.Integer, nullable=False),
        sa.Column("author", sa.String(64)),
        sa.Column("made_at", moment),
        sa.Column("lead_time_s", sa.Float),
        sa.Column("is_skipped", sa.Boolean, nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("at", moment, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "revisions_by_subject", "revisions", ["host", "project", "subject", "number", "id"]
    )
    op.create_index("revisions_by_task", "revisions", ["host", "project", "task", "id"])
    op.create_table(
        "versions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("project", sa.Integer, nullable=False),
        sa.Column("parent", sa.String(64), nullable=False),
        sa.Column("at", moment, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("versions_by_parent", "versions", ["host", "project", "parent"], unique=True)
    op.create_table(
        "version_tags",
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("project", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("at", moment, nullable=False),
    )
    _forbid_changes()


def downgrade() -> None:
    """Without them."""
    for table in reversed(_APPEND_ONLY):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION append_only()")


def _forbid_changes() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
        )
    for table in _APPEND_ONLY:
        refuse_changes(table)
