"""What reception understood of each header. What is kept already is described by the next report job."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; nothing is read or changed."""
    op.create_table(
        "descriptions",
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("laterality", sa.String(length=1), nullable=True),
        sa.Column("view", sa.String(length=16), nullable=True),
        sa.Column("objection", sa.Text(), nullable=True),
        sa.Column("for_processing", sa.Boolean(), nullable=False),
        sa.Column("acquisition_date", sa.Text(), nullable=False),
        sa.Column("acquisition_time", sa.Text(), nullable=False),
        sa.Column("source_instance_uids", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("columns", sa.BigInteger(), nullable=False),
        sa.Column("frames", sa.BigInteger(), nullable=False),
        sa.Column("study_digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["sop_instance_uid"], ["instances.sop_instance_uid"], name="fk_descriptions_sop_instance_uid"
        ),
        sa.PrimaryKeyConstraint("sop_instance_uid", name="pk_descriptions"),
    )
