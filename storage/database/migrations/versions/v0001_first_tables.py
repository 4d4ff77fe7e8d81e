"""The first tables."""

import sqlalchemy as sa
from alembic import op

from storage.database.columns import Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_study_uid", "events", ["study_uid"], unique=False)
    op.create_table(
        "first_findings",
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("header_digest", sa.String(length=64), nullable=False),
        sa.Column("finding_digest", sa.String(length=64), nullable=False),
        sa.Column("analysed_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint(
            "sop_instance_uid", "header_digest", "finding_digest", name="pk_first_findings"
        ),
    )
    op.create_table(
        "studies",
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("changed", sa.Boolean(), nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.Column("first_at", Instant(), nullable=False),
        sa.Column("last_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("study_uid", name="pk_studies"),
    )
    op.create_index("ix_studies_changed", "studies", ["changed"], unique=False)
    op.create_table(
        "destinations",
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["study_uid"], ["studies.study_uid"], name="fk_destinations_study_uid"),
        sa.PrimaryKeyConstraint("study_uid", "destination", name="pk_destinations"),
    )
    op.create_table(
        "instances",
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(length=64), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("header_digest", sa.String(length=64), nullable=False),
        sa.Column("pixel_sha256", sa.String(length=64), nullable=False),
        sa.Column("file", sa.String(length=255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("standard_view", sa.String(length=4), nullable=True),
        sa.Column("analysable", sa.Boolean(), nullable=False),
        sa.Column("source_ae", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["study_uid"], ["studies.study_uid"], name="fk_instances_study_uid"),
        sa.PrimaryKeyConstraint("sop_instance_uid", name="pk_instances"),
    )
    op.create_index("ix_instances_study_uid", "instances", ["study_uid"], unique=False)
    op.create_table(
        "reports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("made_at", Instant(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("content_digest", sa.String(length=64), nullable=False),
        sa.Column("replaces", sa.Integer(), nullable=True),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("sr_sop_class_uid", sa.String(length=64), nullable=True),
        sa.Column("sr_sop_instance_uid", sa.String(length=64), nullable=True),
        sa.Column("sr_series_uid", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_reports"),
        sa.UniqueConstraint("study_uid", "sequence", name="uq_reports_study_uid_sequence"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "one_current_report",
        "reports",
        ["study_uid"],
        unique=True,
        sqlite_where=sa.text("current"),
        postgresql_where=sa.text("current"),
    )
    op.create_table(
        "senders",
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("ae_title", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["study_uid"], ["studies.study_uid"], name="fk_senders_study_uid"),
        sa.PrimaryKeyConstraint("study_uid", "ae_title", name="pk_senders"),
    )
    op.create_table(
        "findings",
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column("succeeded", sa.Boolean(), nullable=False),
        sa.Column("analysed_at", Instant(), nullable=False),
        sa.Column("heatmap", sa.String(length=255), nullable=True),
        sa.ForeignKeyConstraint(
            ["sop_instance_uid"], ["instances.sop_instance_uid"], name="fk_findings_sop_instance_uid"
        ),
        sa.PrimaryKeyConstraint("sop_instance_uid", name="pk_findings"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("ANALYSE", "REPORT", name="kind", native_enum=False, create_constraint=True, length=16),
            nullable=False,
        ),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=True),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "WAITING",
                "RUNNING",
                "DONE",
                "PARKED",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("owner", sa.String(length=128), nullable=True),
        sa.Column("lease_until", Instant(), nullable=True),
        sa.Column("claims", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("releases", sa.Integer(), nullable=False),
        sa.Column("not_before", Instant(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("trace", sa.Text(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.CheckConstraint("(kind = 'ANALYSE') = (sop_instance_uid IS NOT NULL)", name="image_or_study"),
        sa.CheckConstraint("(state = 'RUNNING') = (lease_until IS NOT NULL)", name="running_is_leased"),
        sa.CheckConstraint("(state = 'RUNNING') = (owner IS NOT NULL)", name="running_is_owned"),
        sa.CheckConstraint(
            "(state IN ('DONE', 'PARKED')) = (finished_at IS NOT NULL)", name="finished_has_time"
        ),
        sa.ForeignKeyConstraint(
            ["sop_instance_uid"], ["instances.sop_instance_uid"], name="fk_jobs_sop_instance_uid"
        ),
        sa.ForeignKeyConstraint(["study_uid"], ["studies.study_uid"], name="fk_jobs_study_uid"),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_jobs_state", "jobs", ["state", "kind", "id"], unique=False)
    op.create_index("ix_jobs_study_uid", "jobs", ["study_uid"], unique=False)
    op.create_index(
        "one_open_analysis",
        "jobs",
        ["sop_instance_uid"],
        unique=True,
        sqlite_where=sa.text("kind = 'ANALYSE' AND state <> 'DONE'"),
        postgresql_where=sa.text("kind = 'ANALYSE' AND state <> 'DONE'"),
    )
    op.create_index(
        "one_open_report",
        "jobs",
        ["study_uid"],
        unique=True,
        sqlite_where=sa.text("kind = 'REPORT' AND state <> 'DONE'"),
        postgresql_where=sa.text("kind = 'REPORT' AND state <> 'DONE'"),
    )
    op.create_table(
        "results",
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("SR", "SC", "NOTICE", name="kind", native_enum=False, create_constraint=True, length=16),
            nullable=False,
        ),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(length=64), nullable=False),
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("file", sa.String(length=255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("report_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_results_report_id"),
        sa.ForeignKeyConstraint(["study_uid"], ["studies.study_uid"], name="fk_results_study_uid"),
        sa.PrimaryKeyConstraint("sop_instance_uid", name="pk_results"),
    )
    op.create_index("ix_results_report_id", "results", ["report_id"], unique=False)
    op.create_index("ix_results_study_uid", "results", ["study_uid"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "OWED",
                "SENT",
                "PARKED",
                "WITHDRAWN",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", Instant(), nullable=False),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("sent_at", Instant(), nullable=True),
        sa.Column("sent_as", sa.String(length=64), nullable=True),
        sa.CheckConstraint("(state = 'SENT') = (sent_at IS NOT NULL)", name="sent_has_time"),
        sa.ForeignKeyConstraint(
            ["sop_instance_uid"], ["results.sop_instance_uid"], name="fk_deliveries_sop_instance_uid"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.UniqueConstraint(
            "sop_instance_uid", "destination", name="uq_deliveries_sop_instance_uid_destination"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_deliveries_state", "deliveries", ["state", "destination", "not_before"], unique=False)
