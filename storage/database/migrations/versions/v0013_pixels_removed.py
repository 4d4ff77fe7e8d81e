"""When the pixels of an image were removed before the rest of its study."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the column; nothing is read or changed."""
    op.add_column("instances", sa.Column("pixels_removed_at", sa.DateTime(timezone=True), nullable=True))
