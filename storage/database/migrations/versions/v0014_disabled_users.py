"""Users who may not sign in for now, and users whom an OpenID provider vouches for."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take all users for enabled, with passwords of their own."""
    op.add_column("users", sa.Column("disabled", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("users", sa.Column("subject", sa.String(length=64), nullable=True))
    op.create_index("ix_users_subject", "users", ["subject"], unique=True)
