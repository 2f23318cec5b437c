"""How many analyses each user has asked for, by day."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "e2a90b6c5d17"
down_revision: str | Sequence[str] | None = "b1c47e90d2a6"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "analysis_days",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("analyses", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "day", name=op.f("analysis_days_pkey")),
    )
    op.create_index(op.f("analysis_days_day_idx"), "analysis_days", ["day"], unique=False)


def downgrade() -> None:
    """Take the revision back."""
    op.drop_index(op.f("analysis_days_day_idx"), table_name="analysis_days")
    op.drop_table("analysis_days")
