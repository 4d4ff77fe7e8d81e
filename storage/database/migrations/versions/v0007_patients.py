"""Whose each image is, as a digest of its Patient ID. Of what is kept already nobody knows it here."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; nothing is read or changed."""
    op.add_column("instances", sa.Column("patient_digest", sa.String(length=64), nullable=True))
