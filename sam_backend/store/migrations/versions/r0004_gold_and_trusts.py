"""Trusted images, their copies among people's tasks, and how far models are trusted."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Four tables more."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "gold",
        sa.Column("image", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("masks", sa.LargeBinary, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("makers", sa.JSON, nullable=False),
        sa.Column("excluded", sa.Text),
        sa.Column("at", moment, nullable=False),
    )
    op.create_table(
        "gold_changes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("image", sa.String(64), nullable=False),
        sa.Column("change", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", moment, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("gold_changes_by_image", "gold_changes", ["image", "id"])
    op.create_table(
        "gold_copies",
        sa.Column("token", sa.String(64), primary_key=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("project", sa.Integer, nullable=False),
        sa.Column("image", sa.String(64), nullable=False),
        sa.Column("at", moment, nullable=False),
    )
    op.create_index(
        "gold_copies_by_image", "gold_copies", ["host", "project", "image"], unique=True
    )
    op.create_table(
        "trusts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("model_version", sa.String(128), nullable=False),
        sa.Column("document", sa.JSON, nullable=False),
        sa.Column("at", moment, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("trusts_by_version", "trusts", ["model_version", "id"])


def downgrade() -> None:
    """Without them."""
    for table in ("trusts", "gold_copies", "gold_changes", "gold"):
        op.drop_table(table)
