"""The processes that share the work of a node on several machines; studies found by patient."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and an index; a text in the order of its bytes, as `columns.characters` has it."""
    collation = None if op.get_bind().dialect.name == "sqlite" else "C"
    op.create_table(
        "machines",
        sa.Column("name", sa.String(length=96, collation=collation), nullable=False),
        sa.Column("role", sa.String(length=16, collation=collation), nullable=False),
        sa.Column("host", sa.String(length=64, collation=collation), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ready", sa.Boolean(), nullable=False),
        sa.Column("busy", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_machines"),
    )
    op.create_index("ix_instances_patient", "instances", ["patient_digest"])
