"""What peers sent that was not kept, counted by peer, class and reason."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; nothing is read or changed."""
    op.create_table(
        "not_kept",
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column(
            "reason",
            sa.Enum("DROPPED", "FOREIGN", "CONFLICT", name="reason", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column("objects", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("reason IN ('DROPPED', 'FOREIGN', 'CONFLICT')", name="reason"),
        sa.PrimaryKeyConstraint("peer", "sop_class_uid", "reason", name="pk_not_kept"),
    )
