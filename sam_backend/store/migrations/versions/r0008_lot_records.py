"""Every look at a lot of a bulk run is kept."""

import sqlalchemy as sa
from alembic import op

from sam_backend.store.migrations.append_only import refuse_changes

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """One table more, whose rows the database itself keeps from being changed."""
    op.create_table(
        "lot_records",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("document", sa.JSON, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("lot_records_by_run", "lot_records", ["run", "id"])
    refuse_changes("lot_records")
    if op.get_bind().dialect.name == "postgresql":
        return
    op.execute(
        "CREATE TRIGGER lot_records_no_replace BEFORE INSERT ON lot_records "
        # REPLACE deletes, and no delete trigger sees it
        "WHEN EXISTS (SELECT 1 FROM lot_records WHERE id = NEW.id) "
        "BEGIN SELECT RAISE(ABORT, 'lot_records is append-only'); END"
    )


def downgrade() -> None:
    """Without it."""
    op.drop_table("lot_records")
