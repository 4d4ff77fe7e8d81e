"""The index of a scanner's breasts answers by itself what its examinations score, in their order."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_INDEX = "ix_breast_scores_scanner"
_COLUMNS = ["manufacturer", "scanner_model", "network", "network_version", "reported_at"]


def upgrade() -> None:
    """Make it anew, with two columns more."""
    op.drop_index(_INDEX, "breast_scores")
    op.create_index(_INDEX, "breast_scores", [*_COLUMNS, "report_id", "malignant"])
