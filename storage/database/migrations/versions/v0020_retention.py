"""Indices for the questions of retention: which row names a file, which job names an image that goes."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    for table, column in (
        ("instances", "file"),
        ("copies", "identity"),
        ("findings", "heatmap"),
        ("results", "file"),
        ("jobs", "sop_instance_uid"),
    ):
        op.create_index(f"ix_{table}_{column}", table, [column])
