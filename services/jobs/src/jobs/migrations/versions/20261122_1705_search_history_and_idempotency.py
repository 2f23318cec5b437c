"""Search, priorities, the history of attempts and events, and creations that clients name."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "6bfeee5218f5"
down_revision: str | Sequence[str] | None = "b1f24c9e7a05"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "idempotency_keys",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("holder", sa.Uuid(), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("owner_id", "key", name=op.f("idempotency_keys_pkey")),
    )
    op.create_index(op.f("idempotency_keys_created_at_idx"), "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "job_events",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("job_events_job_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "seq", name=op.f("job_events_pkey")),
    )
    op.create_table(
        "past_attempts",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("options", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason_code", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("transcribed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("chunks_planned", sa.Integer(), nullable=True),
        sa.Column("chunks_done", sa.Integer(), nullable=False),
        sa.Column("decode_seconds", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("past_attempts_job_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "attempt", name=op.f("past_attempts_pkey")),
    )
    op.add_column("chunks", sa.Column("segments", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("chunks", sa.Column("reused_from", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("owner_name", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("priority", sa.Text(), server_default="normal", nullable=False))
    op.add_column("jobs", sa.Column("tags", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False))
    op.add_column("jobs", sa.Column("callback_url", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("duplicate_of", sa.Uuid(), nullable=True))
    op.add_column(
        "jobs", sa.Column("queued_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
    )
    op.add_column(
        "jobs", sa.Column("turn_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
    )
    op.add_column("jobs", sa.Column("keywords", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False))
    op.add_column("jobs", sa.Column("last_event", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column(
        "jobs", sa.Column("search", postgresql.TSVECTOR(), server_default=sa.text("''::tsvector"), nullable=False)
    )
    op.drop_index(op.f("jobs_queued_idx"), table_name="jobs", postgresql_where="(state = 'queued'::text)")
    op.create_index(
        "jobs_queued_idx",
        "jobs",
        ["owner_id", "turn_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "jobs_created_idx", "jobs", [sa.literal_column("created_at DESC"), sa.literal_column("id DESC")], unique=False
    )
    op.create_index(
        "jobs_duplicate_of_idx",
        "jobs",
        ["duplicate_of"],
        unique=False,
        postgresql_where=sa.text("duplicate_of IS NOT NULL"),
    )
    op.create_index(
        "jobs_duration_idx",
        "jobs",
        [sa.literal_column("coalesce(duration_seconds, '-1'::double precision)"), "id"],
        unique=False,
    )
    op.create_index(
        "jobs_finished_idx",
        "jobs",
        [sa.literal_column("coalesce(finished_at, '9999-12-31 00:00:00+00'::timestamptz)"), "id"],
        unique=False,
    )
    op.create_index(
        "jobs_owner_duration_idx",
        "jobs",
        ["owner_id", sa.literal_column("coalesce(duration_seconds, '-1'::double precision)"), "id"],
        unique=False,
    )
    op.create_index(
        "jobs_owner_finished_idx",
        "jobs",
        ["owner_id", sa.literal_column("coalesce(finished_at, '9999-12-31 00:00:00+00'::timestamptz)"), "id"],
        unique=False,
    )
    op.create_index(
        "jobs_owner_model_created_idx",
        "jobs",
        [
            "owner_id",
            sa.literal_column("(options ->> 'model')"),
            sa.literal_column("created_at DESC"),
            sa.literal_column("id DESC"),
        ],
        unique=False,
    )
    op.create_index("jobs_owner_sha256_idx", "jobs", ["owner_id", "sha256", "created_at"], unique=False)
    op.create_index("jobs_search_idx", "jobs", ["search"], unique=False, postgresql_using="gin")
    op.create_index("jobs_tags_idx", "jobs", ["tags"], unique=False, postgresql_using="gin")
    op.create_foreign_key(op.f("jobs_duplicate_of_fkey"), "jobs", "jobs", ["duplicate_of"], ["id"], ondelete="SET NULL")
    op.create_check_constraint("priority", "jobs", "priority IN ('low', 'normal', 'high')")
    op.execute("UPDATE jobs SET queued_at = created_at, turn_at = created_at, last_event = 1")
    op.execute(
        "INSERT INTO job_events (job_id, seq, kind, data)"
        " SELECT id, 1, 'state', jsonb_build_object('state', state, 'reason_code', reason_code, 'reason', reason,"
        " 'attempt', attempt, 'transcript_attempt', transcript_attempt) FROM jobs"
    )
    # Words of older jobs are found in the form in which they were said; the next attempt brings their language's rules.
    op.execute(
        "UPDATE jobs SET search = setweight(to_tsvector('simple', left(file_name, 1000)), 'A')"
        " || to_tsvector('simple', left(coalesce((SELECT string_agg(chunks.text, ' ' ORDER BY chunk) FROM chunks"
        " WHERE chunks.job_id = jobs.id AND chunks.attempt = jobs.transcript_attempt), ''), 200000))"
    )


def downgrade() -> None:
    """Take the revision back."""
    op.drop_constraint("priority", "jobs", type_="check")
    op.drop_constraint(op.f("jobs_duplicate_of_fkey"), "jobs", type_="foreignkey")
    op.drop_index("jobs_tags_idx", table_name="jobs", postgresql_using="gin")
    op.drop_index("jobs_search_idx", table_name="jobs", postgresql_using="gin")
    op.drop_index("jobs_owner_sha256_idx", table_name="jobs")
    op.drop_index("jobs_owner_model_created_idx", table_name="jobs")
    op.drop_index("jobs_owner_finished_idx", table_name="jobs")
    op.drop_index("jobs_owner_duration_idx", table_name="jobs")
    op.drop_index("jobs_finished_idx", table_name="jobs")
    op.drop_index("jobs_duration_idx", table_name="jobs")
    op.drop_index("jobs_duplicate_of_idx", table_name="jobs", postgresql_where=sa.text("duplicate_of IS NOT NULL"))
    op.drop_index("jobs_created_idx", table_name="jobs")
    op.drop_index("jobs_queued_idx", table_name="jobs", postgresql_where=sa.text("state = 'queued'"))
    op.create_index(
        op.f("jobs_queued_idx"),
        "jobs",
        ["owner_id", "created_at", "id"],
        unique=False,
        postgresql_where="(state = 'queued'::text)",
    )
    op.drop_column("jobs", "search")
    op.drop_column("jobs", "last_event")
    op.drop_column("jobs", "keywords")
    op.drop_column("jobs", "turn_at")
    op.drop_column("jobs", "queued_at")
    op.drop_column("jobs", "duplicate_of")
    op.drop_column("jobs", "callback_url")
    op.drop_column("jobs", "tags")
    op.drop_column("jobs", "priority")
    op.drop_column("jobs", "owner_name")
    op.drop_column("chunks", "reused_from")
    op.drop_column("chunks", "segments")
    op.drop_table("past_attempts")
    op.drop_table("job_events")
    op.drop_index(op.f("idempotency_keys_created_at_idx"), table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
