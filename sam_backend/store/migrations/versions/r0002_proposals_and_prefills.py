"""What was proposed for images, and what became of prefilled tasks."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Three tables more."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "proposals",
        sa.Column("image", sa.String(64), primary_key=True),
        sa.Column("model_version", sa.String(128), primary_key=True),
        sa.Column("proposer", sa.String(128), primary_key=True),
        sa.Column("masks", sa.LargeBinary(), nullable=False),
        sa.Column("at", moment, nullable=False),
    )
    op.create_index("proposals_by_time", "proposals", ["at"])
    op.create_table(
        "prefills",
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("project", sa.Integer(), primary_key=True),
        sa.Column("task", sa.Integer(), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("model_version", sa.String(128), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("coverage", sa.Float(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("masks", sa.LargeBinary(), nullable=False),
        sa.Column("at", moment, nullable=False),
    )
    op.create_table(
        "prefill_versions",
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("project", sa.Integer(), primary_key=True),
        sa.Column("model_version", sa.String(128), primary_key=True),
    )


def downgrade() -> None:
    """Without them."""
    for name in ("prefill_versions", "prefills", "proposals"):
        op.drop_table(name)
