"""What administrators set and see: concurrency, instances, storage, replays, and more about workers."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "b1f24c9e7a05"
down_revision: str | Sequence[str] | None = "3f6c1a94d2e7"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "concurrency",
        sa.Column("only_row", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("max_concurrent_jobs", sa.Integer(), nullable=True),
        sa.Column("chunks_in_flight_per_job", sa.Integer(), nullable=True),
        sa.Column("chunks_in_flight_per_worker", sa.Integer(), nullable=True),
        sa.Column("paused_workers", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=False),
        sa.CheckConstraint("only_row", name=op.f("concurrency_only_row_check")),
        sa.PrimaryKeyConstraint("only_row", name=op.f("concurrency_pkey")),
    )
    op.create_table(
        "instances",
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cpu_percent", sa.Double(), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("service", "instance", name=op.f("instances_pkey")),
    )
    op.create_table(
        "stored_kinds",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("objects", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("stored_kinds_pkey")),
    )
    op.create_table(
        "replays",
        sa.Column("letter_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("replayed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("replayed_by", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["letter_id"], ["dead_letters.id"], name=op.f("replays_letter_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("letter_id", name=op.f("replays_pkey")),
    )
    op.add_column("workers", sa.Column("slots", sa.Integer(), server_default="1", nullable=False))
    op.add_column("workers", sa.Column("paused", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("workers", sa.Column("gpu", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    """Take the revision back."""
    for column in ("gpu", "paused", "slots"):
        op.drop_column("workers", column)
    for table in ("replays", "stored_kinds", "instances", "concurrency"):
        op.drop_table(table)
