"""Indices for studies that are looked for by their sender, or under the UID that a peer gave them."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_index("ix_senders_title", "senders", ["ae_title", "study_uid"])
    op.create_index("ix_copies_study", "copies", ["study_uid", "sop_instance_uid"])
