"""What Label Studio's API has confirmed of the log; append-only tables refuse REPLACE, too."""

import sqlalchemy as sa
from alembic import op

from sam_backend.store.migrations.append_only import (
    allow_replacing,
    drop_guard,
    make_guard,
    refuse_changes,
    refuse_replacing,
)

revision = "0009"
down_revision = "0008"

_KEYS = {
    "objects": [["digest"]],
    "revisions": [["id"], ["key"]],
    "versions": [["id"], ["digest"], ["host", "project", "parent"]],
    "version_tags": [["host", "project", "name"]],
    "stage_moves": [["id"], ["host", "project", "place"]],
    "measurements": [["id"]],
}
"""Primary key and unique indexes of the append-only tables that are there already."""


def upgrade() -> None:
    """One table more. What the log holds counted until now, and goes on to count."""
    op.create_table(
        "verifications",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("is_confirmed", sa.Boolean, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("verifications_by_revision", "verifications", ["revision", "is_confirmed"])
    # what was deleted stayed so, whatever was told late
    op.execute(
        "INSERT INTO verifications (revision, is_confirmed, at) SELECT id, true, at FROM revisions "
        "WHERE subject IN ('annotation', 'task') "
        "ORDER BY CASE WHEN change = 'deleted' THEN 1 ELSE 0 END, id"
    )
    make_guard()
    refuse_changes("verifications")
    for table, keys in (_KEYS | {"verifications": [["id"]]}).items():
        refuse_replacing(table, keys)


def downgrade() -> None:
    """Without it."""
    for table in _KEYS:
        allow_replacing(table)
    op.drop_table("verifications")
    drop_guard()
