"""Whatever was not taken, counted by reason: objects, which the table ``not_kept`` had, and calls."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

REASONS = (
    *("DROPPED", "FOREIGN", "CONFLICT", "INCOMPLETE", "UNREADABLE", "NO_ROOM", "FAULT", "UNNAMED"),
    *("OTHER_SYNTAX", "OTHER_STUDY", "CALLING_TITLE", "CALLED_TITLE", "OWN_TITLE", "ADDRESS", "SECURITY"),
    *("LIMIT", "ADDRESS_LIMIT", "UNDECIDED", "TLS", "WRONG_PORT", "NO_REQUEST", "SILENT", "CROWD"),
    *("NO_TOKEN", "NO_PARTS", "CUT_OFF", "TOO_LARGE", "TOO_SLOW", "UNWRITABLE"),
)


def upgrade() -> None:
    """Make the table; what was counted moves there."""
    words = ", ".join(f"'{reason}'" for reason in REASONS)
    op.create_table(
        "refusals",
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Enum(*REASONS, name="reason", native_enum=False, length=16), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(f"reason IN ({words})", name="reason"),
        sa.PrimaryKeyConstraint("peer", "sop_class_uid", "reason", name="pk_refusals"),
    )
    op.execute(
        "INSERT INTO refusals (peer, sop_class_uid, reason, number, last_at) "
        "SELECT peer, sop_class_uid, reason, objects, last_at FROM not_kept"
    )
    op.drop_table("not_kept")
