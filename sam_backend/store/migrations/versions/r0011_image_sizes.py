"""Sizes of tasks' images, and those on which an annotation's contents were measured."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """One column more each: NULL where nobody has looked for it; it is looked for again."""
    op.add_column("task_features", sa.Column("sizes", sa.JSON, nullable=True))
    op.add_column("annotation_contents", sa.Column("images", sa.JSON, nullable=True))


def downgrade() -> None:
    """Without them."""
    op.drop_column("annotation_contents", "images")
    op.drop_column("task_features", "sizes")
