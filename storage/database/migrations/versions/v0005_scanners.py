"""The scores of breasts by scanner, and the thresholds that were set for scanners."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _scanner_and_network() -> list[sa.Column[str]]:
    return [
        sa.Column("manufacturer", sa.String(length=64), nullable=False),
        sa.Column("scanner_model", sa.String(length=64), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("network_version", sa.Text(), nullable=False),
    ]


_KEY = ["manufacturer", "scanner_model", "network", "network_version"]


def upgrade() -> None:
    """Make the tables; nothing is read or changed. Reports of before have no scores."""
    op.create_table(
        "breast_scores",
        sa.Column("report_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("laterality", sa.String(length=1), nullable=True),
        *_scanner_and_network(),
        sa.Column("malignant", sa.Float(), nullable=False),
        sa.Column("threshold", sa.Float(), nullable=False),
        sa.Column("threshold_source", sa.Text(), nullable=False),
        sa.Column("flagged", sa.Boolean(), nullable=False),
        sa.Column("percentile", sa.Integer(), nullable=True),
        sa.Column("examinations", sa.Integer(), nullable=True),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(percentile IS NULL) = (examinations IS NULL)",
            name="percentile_of_examinations",
        ),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_breast_scores_report_id"),
        sa.PrimaryKeyConstraint("report_id", "position", name="pk_breast_scores"),
    )
    op.create_index("ix_breast_scores_scanner", "breast_scores", [*_KEY, "reported_at"], unique=False)
    op.create_table(
        "calibrations",
        sa.Column("id", sa.Integer(), nullable=False),
        *_scanner_and_network(),
        sa.Column("threshold", sa.Float(), nullable=False),
        sa.Column("flag_rate", sa.Float(), nullable=False),
        sa.Column("population", sa.Text(), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_calibrations"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_calibrations_scanner", "calibrations", [*_KEY, "id"], unique=False)
