"""What jobs cost, and verifications of their transcripts."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "c4d81e6f0b92"
down_revision: str | Sequence[str] | None = "2d7c41e90b6a"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_COSTS = ("cpu_seconds", "gpu_seconds", "decoded_seconds", "wasted_seconds")


def upgrade() -> None:
    """Apply the revision."""
    for name in _COSTS:
        op.add_column("jobs", sa.Column(name, sa.Double(), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("retries", sa.Integer(), server_default="0", nullable=False))
    op.add_column("chunks", sa.Column("deliveries", sa.Integer(), server_default="1", nullable=False))
    op.create_table(
        "verifications",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("checks", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("verifications_job_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("verifications_pkey")),
    )
    op.create_index("verifications_job_created_idx", "verifications", ["job_id", sa.text("created_at DESC")])
    op.create_index(
        "verifications_running_idx",
        "verifications",
        ["created_at"],
        postgresql_where=sa.text("finished_at IS NULL"),
    )


def downgrade() -> None:
    """Revert the revision."""
    op.drop_table("verifications")
    op.drop_column("chunks", "deliveries")
    for name in ("retries", *_COSTS):
        op.drop_column("jobs", name)
