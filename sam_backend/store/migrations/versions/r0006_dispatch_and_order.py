"""Who labels which tasks until when, and in which order tasks should be seen."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Six tables more."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "annotators",
        *_place(),
        sa.Column("person", sa.String(64), primary_key=True),
        sa.Column("skills", sa.JSON, nullable=False),
        sa.Column("languages", sa.JSON, nullable=False),
        sa.Column("away_until", moment),
        sa.Column("joined_at", moment, nullable=False),
        sa.Column("left_at", moment),
    )
    op.create_table(
        "leases",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("project", sa.Integer, nullable=False),
        sa.Column("task", sa.BigInteger, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("is_gold", sa.Boolean, nullable=False),
        sa.Column("priority", sa.Float, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("given_at", moment, nullable=False),
        sa.Column("until", moment, nullable=False),
        sa.Column("ended_at", moment),
        sa.Column("outcome", sa.String(16)),
        sqlite_autoincrement=True,
    )
    op.create_index("leases_by_person", "leases", ["host", "project", "person", "id"])
    op.create_index("leases_by_task", "leases", ["host", "project", "task", "id"])
    is_open = sa.text("ended_at IS NULL")
    for name, column in (("leases_open_place", "place"), ("leases_open_person", "person")):
        op.create_index(
            name,
            "leases",
            ["host", "project", "task", column],
            unique=True,
            sqlite_where=is_open,
            postgresql_where=is_open,
        )
    op.create_table(
        "violations",
        *_place(),
        sa.Column("annotation", sa.BigInteger, primary_key=True),
        sa.Column("task", sa.BigInteger, nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("made_at", moment, nullable=False),
        sa.Column("seen_at", moment, nullable=False),
    )
    op.create_table(
        "task_orders",
        *_place(),
        sa.Column("task", sa.BigInteger, primary_key=True),
        sa.Column("priority", sa.Float, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("scores", sa.JSON, nullable=False),
        sa.Column("at", moment, nullable=False),
    )
    op.create_table(
        "task_features",
        *_place(),
        sa.Column("task", sa.BigInteger, primary_key=True),
        sa.Column("model_version", sa.String(128), nullable=False),
        sa.Column("image", sa.String(64), nullable=False),
        sa.Column("features", sa.LargeBinary),
        sa.Column("reason", sa.Text),
        sa.Column("at", moment, nullable=False),
    )
    op.create_table(
        "annotation_contents",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("sizes", sa.JSON, nullable=False),
    )


def _place() -> tuple[sa.Column[str], sa.Column[int]]:
    return (
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("project", sa.Integer, primary_key=True),
    )


def downgrade() -> None:
    """Without them."""
    for table in (
        "annotation_contents",
        "task_features",
        "task_orders",
        "violations",
        "leases",
        "annotators",
    ):
        op.drop_table(table)
