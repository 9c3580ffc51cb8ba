"""What of an annotation's contents could not be measured; what was read before is read again."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """One column more: NULL where nobody has looked for it."""
    op.add_column("annotation_contents", sa.Column("unread", sa.JSON, nullable=True))


def downgrade() -> None:
    """Without it."""
    op.drop_column("annotation_contents", "unread")
