"""What was freed, reports, and the configuration set at run time."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "5c0e9a7d41b6"
down_revision: str | Sequence[str] | None = "43b217f77638"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the revision."""
    op.add_column("jobs", sa.Column("file_name", sa.Text(), nullable=True))
    op.create_table(
        "config",
        sa.Column("only_row", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("cleanup_enabled", sa.Boolean(), nullable=True),
        sa.Column("cleanup_days", sa.Double(), nullable=True),
        sa.Column("cleanup_interval_seconds", sa.Double(), nullable=True),
        sa.Column("orphan_age_hours", sa.Double(), nullable=True),
        sa.Column("chunk_audio_hours", sa.Double(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=False),
        sa.CheckConstraint("only_row", name=op.f("config_only_row_check")),
        sa.PrimaryKeyConstraint("only_row", name=op.f("config_pkey")),
    )
    op.create_table(
        "freed",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("objects", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("freed_pkey")),
    )
    op.create_index(
        "freed_open_idx", "freed", ["rule", "job_id"], unique=True, postgresql_where=sa.text("done_at IS NULL")
    )
    op.create_table(
        "reports",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("requested_by", sa.Uuid(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("freed", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("failed", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.CheckConstraint("cause IN ('schedule', 'deletion', 'request')", name=op.f("reports_cause_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("reports_pkey")),
    )


def downgrade() -> None:
    """Take the revision back."""
    op.drop_table("reports")
    op.drop_index("freed_open_idx", table_name="freed", postgresql_where=sa.text("done_at IS NULL"))
    op.drop_table("freed")
    op.drop_table("config")
    op.drop_column("jobs", "file_name")
