"""What each peer said of an image that it sent, so that its results carry the identity that it sent."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_UID = sa.String(length=64)


def upgrade() -> None:
    """Take every sender of a study for one of all its images, under the identity that is kept."""
    _make_copies()
    _make_routes()
    _give_reports_their_identity()


def _make_copies() -> None:
    op.create_table(
        "copies",
        sa.Column("sop_instance_uid", _UID, nullable=False),
        sa.Column("ae_title", _UID, nullable=False),
        sa.Column("study_uid", _UID, nullable=False),
        sa.Column("series_uid", _UID, nullable=False),
        sa.Column("header_digest", _UID, nullable=False),
        sa.Column("study_digest", _UID, nullable=True),
        sa.Column("patient_digest", _UID, nullable=True),
        sa.Column("identity", sa.String(length=255), nullable=True),
        sa.ForeignKeyConstraint(
            ["sop_instance_uid"], ["instances.sop_instance_uid"], name="fk_copies_sop_instance_uid"
        ),
        sa.PrimaryKeyConstraint("sop_instance_uid", "ae_title", name="pk_copies"),
    )
    op.create_index("ix_copies_sender", "copies", ["ae_title", "study_uid"], unique=False)
    op.create_index("ix_copies_study_digest", "copies", ["study_digest"], unique=False)
    op.execute(
        "INSERT INTO copies (sop_instance_uid, ae_title, study_uid, series_uid, header_digest, study_digest, "
        "patient_digest) "
        "SELECT i.sop_instance_uid, s.ae_title, i.study_uid, i.series_uid, i.header_digest, d.study_digest, "
        "i.patient_digest FROM instances i JOIN senders s ON s.study_uid = i.study_uid "
        "LEFT JOIN descriptions d ON d.sop_instance_uid = i.sop_instance_uid"
    )


def _make_routes() -> None:
    op.create_table(
        "routes",
        sa.Column("study_uid", _UID, nullable=False),
        sa.Column("ae_title", _UID, nullable=False),
        sa.Column("destination", _UID, nullable=False),
        sa.ForeignKeyConstraint(["study_uid"], ["studies.study_uid"], name="fk_routes_study_uid"),
        sa.PrimaryKeyConstraint("study_uid", "ae_title", "destination", name="pk_routes"),
    )
    op.execute(
        "INSERT INTO routes (study_uid, ae_title, destination) "
        "SELECT s.study_uid, s.ae_title, d.destination FROM senders s "
        "JOIN destinations d ON d.study_uid = s.study_uid"
    )
    op.drop_table("destinations")


def _give_reports_their_identity() -> None:
    op.add_column("reports", sa.Column("sr_study_uid", _UID, nullable=True))
    op.add_column("reports", sa.Column("identity", _UID, nullable=False, server_default=""))
    # results copy patient and study from the image with the lowest UID
    op.execute(
        "UPDATE reports SET identity = COALESCE((SELECT d.study_digest FROM instances i "
        "JOIN descriptions d ON d.sop_instance_uid = i.sop_instance_uid "
        "WHERE i.study_uid = reports.study_uid ORDER BY i.sop_instance_uid LIMIT 1), '')"
    )
    op.drop_index("one_current_report", table_name="reports")
    op.create_index(
        "one_current_report",
        "reports",
        ["study_uid", "identity"],
        unique=True,
        sqlite_where=sa.text("current"),
        postgresql_where=sa.text("current"),
    )
    op.create_table(
        "report_senders",
        sa.Column("report_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ae_title", _UID, nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_report_senders_report_id"),
        sa.PrimaryKeyConstraint("report_id", "ae_title", name="pk_report_senders"),
    )
