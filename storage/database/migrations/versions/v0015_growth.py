"""Indices that keep questions as quick as on the first day; a mark where patients share a study."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them; studies whose copies name several patients are marked."""
    op.add_column(
        "studies", sa.Column("several_patients", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.execute(
        "UPDATE studies SET several_patients = true WHERE study_uid IN ("
        "SELECT instances.study_uid FROM instances "
        "JOIN copies ON copies.sop_instance_uid = instances.sop_instance_uid "
        "GROUP BY instances.study_uid HAVING count(DISTINCT copies.patient_digest) > 1)"
    )
    op.drop_index("ix_studies_changed", "studies")
    for table, name, columns, condition in (
        ("studies", "ix_studies_changed", ["changed", "last_at", "study_uid"], None),
        ("studies", "ix_studies_first", ["first_at"], None),
        ("studies", "ix_studies_last", ["last_at", "study_uid"], None),
        ("studies", "ix_studies_several_patients", ["several_patients", "study_uid"], None),
        ("instances", "ix_instances_received", ["received_at", "size"], None),
        ("instances", "ix_instances_whole", ["received_at"], "pixels_removed_at IS NULL"),
        ("jobs", "ix_jobs_finished", ["state", "kind", "finished_at"], None),
        ("deliveries", "ix_deliveries_sent", ["destination", "sent_at"], None),
        ("deliveries", "ix_deliveries_sent_at", ["sent_at"], None),
    ):
        partial = None if condition is None else sa.text(condition)
        op.create_index(name, table, columns, sqlite_where=partial, postgresql_where=partial)
