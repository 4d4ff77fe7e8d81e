"""What peers asked us to commit ourselves to keep, and which images were promised."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make table and column; nothing is read or changed."""
    op.add_column("instances", sa.Column("promised_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "commitment_questions",
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uids", sa.Text(), nullable=False),
        sa.Column("sop_instance_uids", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("peer", "transaction_uid", name="pk_commitment_questions"),
    )
