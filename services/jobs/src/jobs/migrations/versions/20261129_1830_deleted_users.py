"""Tombstones of deleted accounts, in whose name no job begins any more."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b7c41e0a92d6"
down_revision: str | Sequence[str] | None = "b7a2e4c91d63"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "deleted_users",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("deleted_users_pkey")),
    )
    op.create_index(op.f("deleted_users_deleted_at_idx"), "deleted_users", ["deleted_at"], unique=False)


def downgrade() -> None:
    """Take it back."""
    op.drop_index(op.f("deleted_users_deleted_at_idx"), table_name="deleted_users")
    op.drop_table("deleted_users")
