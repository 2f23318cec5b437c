"""What quotas are counted from: audio per owner and day, and an index that adds up what an owner stores."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "2d7c41e90b6a"
down_revision: str | Sequence[str] | None = "6bfeee5218f5"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "audio_days",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "day", name=op.f("audio_days_pkey")),
    )
    op.create_index(op.f("audio_days_day_idx"), "audio_days", ["day"], unique=False)
    op.create_index("jobs_owner_size_idx", "jobs", ["owner_id"], unique=False, postgresql_include=["size_bytes"])


def downgrade() -> None:
    """Take it back."""
    op.drop_index("jobs_owner_size_idx", table_name="jobs", postgresql_include=["size_bytes"])
    op.drop_index(op.f("audio_days_day_idx"), table_name="audio_days")
    op.drop_table("audio_days")
