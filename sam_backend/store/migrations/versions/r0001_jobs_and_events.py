"""Jobs and the events of webhooks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """From an empty database."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("project", sa.Integer()),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("dedupe_key", sa.String(255)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON()),
        sa.Column("reason", sa.Text()),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("started_at", moment),
        sa.Column("finished_at", moment),
        sa.Column("worker", sa.String(255)),
        sa.Column("lease", sa.String(32)),
        sa.Column("lease_s", sa.Float()),
        sa.Column("lease_until", moment),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False, server_default=sa.false()),
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_by_state", "jobs", ["state", "id"])
    unfinished = sa.text("state IN ('queued', 'running')")
    op.create_index(
        "jobs_active_dedupe_key",
        "jobs",
        ["dedupe_key"],
        unique=True,
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )
    op.create_table(
        "events",
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("project", sa.Integer()),
        sa.Column("at", moment, nullable=False),
    )
    op.create_index("events_by_time", "events", ["at"])


def downgrade() -> None:
    """To an empty database."""
    op.drop_table("events")
    op.drop_table("jobs")
