"""The first tables of the job catalogue."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "9dbb046c2bfa"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("deliveries", sa.Integer(), nullable=False),
        sa.Column("routing_key", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("dead_letters_pkey")),
        sa.UniqueConstraint("fingerprint", name=op.f("dead_letters_fingerprint_key")),
    )
    op.create_index(op.f("dead_letters_received_at_idx"), "dead_letters", ["received_at"], unique=False)
    op.create_table(
        "inbox",
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "event_id", name=op.f("inbox_pkey")),
    )
    op.create_index(op.f("inbox_received_at_idx"), "inbox", ["received_at"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("options", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("reason_code", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("transcribed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("assembling_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("work_dispatched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("work_dispatches", sa.Integer(), server_default="0", nullable=False),
        sa.Column("progressed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("chunks_planned", sa.Integer(), nullable=True),
        sa.Column("chunks_known", sa.Integer(), server_default="0", nullable=False),
        sa.Column("chunks_done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("seconds_known", sa.Double(), server_default="0", nullable=False),
        sa.Column("seconds_done", sa.Double(), server_default="0", nullable=False),
        sa.Column("decode_seconds", sa.Double(), server_default="0", nullable=False),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("duration_seconds", sa.Double(), nullable=True),
        sa.Column("speech_seconds", sa.Double(), nullable=True),
        sa.Column("plan_key", sa.Text(), nullable=True),
        sa.Column("peaks_key", sa.Text(), nullable=True),
        sa.Column("transcript_attempt", sa.Integer(), nullable=True),
        sa.Column("transcript_sha256", sa.Text(), nullable=True),
        sa.Column("formats", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("segments", sa.Integer(), nullable=True),
        sa.Column("words", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'processing', 'enriching', 'completed', 'failed', 'cancelled')",
            name=op.f("jobs_state_check"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("jobs_pkey")),
    )
    op.create_index(
        "jobs_owner_created_idx",
        "jobs",
        ["owner_id", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "jobs_owner_started_idx",
        "jobs",
        ["owner_id", "started_at"],
        unique=False,
        postgresql_where=sa.text("started_at IS NOT NULL"),
    )
    op.create_index(
        "jobs_owner_state_created_idx",
        "jobs",
        ["owner_id", "state", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "jobs_queued_idx",
        "jobs",
        ["owner_id", "created_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "jobs_running_idx",
        "jobs",
        ["state", "id"],
        unique=False,
        postgresql_where=sa.text("state IN ('processing', 'enriching')"),
    )
    op.create_table(
        "log_lines",
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("log_id", sa.Uuid(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("record", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("log_lines_pkey")),
        sa.UniqueConstraint("log_id", name=op.f("log_lines_log_id_key")),
    )
    op.create_index("log_lines_job_seq_idx", "log_lines", ["job_id", "seq"], unique=False)
    op.create_index(op.f("log_lines_received_at_idx"), "log_lines", ["received_at"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("routing_key", sa.Text(), nullable=False),
        sa.Column("message_type", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("available_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("outbox_pkey")),
    )
    op.create_index("outbox_pending_idx", "outbox", ["seq"], unique=False, postgresql_where="published_at IS NULL")
    op.create_index(
        "outbox_published_at_idx", "outbox", ["published_at"], unique=False, postgresql_where="published_at IS NOT NULL"
    )
    op.create_table(
        "workers",
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("models", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("busy", sa.Text(), nullable=True),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("worker", name=op.f("workers_pkey")),
    )
    op.create_table(
        "chunks",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("chunk", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="planned", nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("start_seconds", sa.Double(), nullable=True),
        sa.Column("end_seconds", sa.Double(), nullable=True),
        sa.Column("windows", sa.Integer(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("dispatched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dispatches", sa.Integer(), server_default="0", nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result_key", sa.Text(), nullable=True),
        sa.Column("result_sha256", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("decode_seconds", sa.Double(), nullable=True),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('planned', 'dispatched', 'done')", name=op.f("chunks_state_check")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("chunks_job_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "attempt", "chunk", name=op.f("chunks_pkey")),
    )
    op.create_index(
        "chunks_dispatched_idx",
        "chunks",
        ["dispatched_at"],
        unique=False,
        postgresql_where=sa.text("state = 'dispatched'"),
    )


def downgrade() -> None:
    """Take the revision back."""
    op.drop_index("chunks_dispatched_idx", table_name="chunks", postgresql_where=sa.text("state = 'dispatched'"))
    op.drop_table("chunks")
    op.drop_table("workers")
    op.drop_index("outbox_published_at_idx", table_name="outbox", postgresql_where="published_at IS NOT NULL")
    op.drop_index("outbox_pending_idx", table_name="outbox", postgresql_where="published_at IS NULL")
    op.drop_table("outbox")
    op.drop_index(op.f("log_lines_received_at_idx"), table_name="log_lines")
    op.drop_index("log_lines_job_seq_idx", table_name="log_lines")
    op.drop_table("log_lines")
    op.drop_index(
        "jobs_running_idx", table_name="jobs", postgresql_where=sa.text("state IN ('processing', 'enriching')")
    )
    op.drop_index("jobs_queued_idx", table_name="jobs", postgresql_where=sa.text("state = 'queued'"))
    op.drop_index("jobs_owner_state_created_idx", table_name="jobs")
    op.drop_index("jobs_owner_started_idx", table_name="jobs", postgresql_where=sa.text("started_at IS NOT NULL"))
    op.drop_index("jobs_owner_created_idx", table_name="jobs")
    op.drop_table("jobs")
    op.drop_index(op.f("inbox_received_at_idx"), table_name="inbox")
    op.drop_table("inbox")
    op.drop_index(op.f("dead_letters_received_at_idx"), table_name="dead_letters")
    op.drop_table("dead_letters")
