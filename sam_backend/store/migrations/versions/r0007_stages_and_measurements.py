"""Which stage a project is in, and what was measured of it."""

import sqlalchemy as sa
from alembic import op

from sam_backend.store.migrations.append_only import refuse_changes

revision = "0007"
down_revision = "0006"

_TABLES = ("stage_moves", "measurements")


def upgrade() -> None:
    """Two tables more, whose rows the database itself keeps from being changed."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "stage_moves",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("project", sa.Integer, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("stage", sa.String(8), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("readings", sa.JSON, nullable=False),
        sa.Column("at", moment, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "stage_moves_by_place", "stage_moves", ["host", "project", "place"], unique=True
    )
    op.create_table(
        "measurements",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("project", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("document", sa.JSON, nullable=False),
        sa.Column("at", moment, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("measurements_by_kind", "measurements", ["host", "project", "kind", "id"])
    for table in _TABLES:
        refuse_changes(table)


def downgrade() -> None:
    """Without them."""
    for table in _TABLES:
        op.drop_table(table)
