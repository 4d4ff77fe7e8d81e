"""Results of any kind: which kinds there are, the code says, and each row keeps its place in its report.

SQLite cannot drop a CHECK, so the table is made anew. Its rows are moved out and back in, because renaming
a table would take the foreign keys of the deliveries along; these are checked when the transaction commits.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let go of the CHECK on the kind; add position and alternative class, as they were until now."""
    op.execute("PRAGMA defer_foreign_keys=ON")
    op.execute("CREATE TABLE results_of_0002 AS SELECT * FROM results")
    op.drop_table("results")
    op.create_table(
        "results",
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("alternative_class_uid", sa.String(length=64), nullable=True),
        sa.Column("transfer_syntax_uid", sa.String(length=64), nullable=False),
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("file", sa.String(length=255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("report_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_results_report_id"),
        sa.ForeignKeyConstraint(["study_uid"], ["studies.study_uid"], name="fk_results_study_uid"),
        sa.PrimaryKeyConstraint("sop_instance_uid", name="pk_results"),
    )
    # Comprehensive SR and Comprehensive 3D SR stand for each other; SR, SC, NOTICE was the order of sending
    op.execute(
        "INSERT INTO results (sop_instance_uid, study_uid, kind, sop_class_uid, transfer_syntax_uid, "
        "series_uid, file, size, report_id, alternative_class_uid, position) "
        "SELECT sop_instance_uid, study_uid, kind, sop_class_uid, transfer_syntax_uid, "
        "series_uid, file, size, report_id, "
        "CASE sop_class_uid WHEN '1.2.840.10008.5.1.4.1.1.88.33' THEN '1.2.840.10008.5.1.4.1.1.88.34' "
        "WHEN '1.2.840.10008.5.1.4.1.1.88.34' THEN '1.2.840.10008.5.1.4.1.1.88.33' END, "
        "row_number() OVER (PARTITION BY report_id ORDER BY kind DESC, sop_instance_uid) - 1 "
        "FROM results_of_0002"
    )
    op.drop_table("results_of_0002")
    op.create_index("ix_results_report_id", "results", ["report_id"], unique=False)
    op.create_index("ix_results_study_uid", "results", ["study_uid"], unique=False)
