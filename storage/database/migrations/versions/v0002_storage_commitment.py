"""What destinations are asked to commit themselves to, and what they answered."""

import sqlalchemy as sa
from alembic import op

from storage.database.columns import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of storage commitment."""
    op.create_table(
        "commitments",
        sa.Column("delivery_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "DUE",
                "ASKED",
                "COMMITTED",
                "FAILED",
                "PARKED",
                "WAIVED",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sent_at", Instant(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("not_before", Instant(), nullable=False),
        sa.Column("asked_at", Instant(), nullable=True),
        sa.Column("committed_at", Instant(), nullable=True),
        sa.Column("failure_reason", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint("(state = 'COMMITTED') = (committed_at IS NOT NULL)", name="committed_has_time"),
        sa.CheckConstraint("state <> 'ASKED' OR asked_at IS NOT NULL", name="asked_has_time"),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name="fk_commitments_delivery_id"),
        sa.PrimaryKeyConstraint("delivery_id", name="pk_commitments"),
    )
    op.create_index("ix_commitments_state", "commitments", ["state", "not_before"], unique=False)
    op.create_table(
        "commitment_requests",
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column("opened_at", Instant(), nullable=False),
        sa.Column("answered_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("transaction_uid", name="pk_commitment_requests"),
    )
    op.create_table(
        "commitment_items",
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["transaction_uid"],
            ["commitment_requests.transaction_uid"],
            name="fk_commitment_items_transaction_uid",
        ),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["commitments.delivery_id"], name="fk_commitment_items_delivery_id"
        ),
        sa.PrimaryKeyConstraint("transaction_uid", "delivery_id", name="pk_commitment_items"),
    )
    op.create_index("ix_commitment_items_delivery_id", "commitment_items", ["delivery_id"], unique=False)
