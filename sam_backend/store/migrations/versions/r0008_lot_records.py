"""Every look at a lot of a bulk run is kept."""

import sqlalchemy as sa
from alembic import op

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
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER lot_records_append_only BEFORE UPDATE OR DELETE ON lot_records "
            "FOR EACH ROW EXECUTE FUNCTION append_only()"  # of revision 0005
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER lot_records_no_{change.lower()} BEFORE {change} ON lot_records "
            "BEGIN SELECT RAISE(ABORT, 'lot_records is append-only'); END"
        )
    op.execute(
        "CREATE TRIGGER lot_records_no_replace BEFORE INSERT ON lot_records "
        # REPLACE deletes, and the trigger above does not see it
        "WHEN EXISTS (SELECT 1 FROM lot_records WHERE id = NEW.id) "
        "BEGIN SELECT RAISE(ABORT, 'lot_records is append-only'); END"
    )


def downgrade() -> None:
    """Without it."""
    op.drop_table("lot_records")
