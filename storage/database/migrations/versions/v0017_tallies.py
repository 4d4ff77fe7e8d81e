"""How many jobs, deliveries and commitments have come to an end, so that nobody counts their rows."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, filled from the rows."""
    op.create_table(
        "tallies",
        *(
            sa.Column(
                name,
                sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql"),
                nullable=False,
            )
            for name, length in (("subject", 16), ("name", 64), ("state", 16))
        ),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "name", "state", name="pk_tallies"),
    )
    op.execute(
        "INSERT INTO tallies (subject, name, state, number) "
        "SELECT 'jobs', kind, state, count(*) FROM jobs WHERE state = 'DONE' GROUP BY kind, state"
    )
    op.execute(
        "INSERT INTO tallies (subject, name, state, number) "
        "SELECT 'deliveries', destination, state, count(*) FROM deliveries "
        "WHERE state IN ('SENT', 'WITHDRAWN') GROUP BY destination, state"
    )
    op.execute(
        "INSERT INTO tallies (subject, name, state, number) "
        "SELECT 'commitments', destination, commitments.state, count(*) FROM commitments "
        "JOIN deliveries ON deliveries.id = delivery_id "
        "WHERE commitments.state IN ('COMMITTED', 'FAILED', 'WAIVED') GROUP BY destination, commitments.state"
    )
