"""Summaries, languages, awaited transcripts and analyses."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "4f0b6a2d91c7"
down_revision: str | Sequence[str] | None = "8d1bf9f89273"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the revision."""
    op.add_column("enrichments", sa.Column("languages", postgresql.JSONB(), nullable=True))
    op.add_column("enrichments", sa.Column("summary", postgresql.JSONB(), nullable=True))
    # Transcripts enriched before have no summary: it comes with their next attempt.
    op.execute(
        "UPDATE enrichments SET summary = '[]', languages = "
        "CASE WHEN language IS NULL THEN '[]'::jsonb ELSE jsonb_build_array(language) END WHERE state = 'done'"
    )
    op.drop_constraint(op.f("enrichments_state_check"), "enrichments", type_="check")
    op.create_check_constraint(
        op.f("enrichments_state_check"),
        "enrichments",
        "state IN ('awaited', 'pending', 'done', 'failed', 'deleted')",
    )
    op.create_table(
        "analyses",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("transcript_key", sa.Text(), nullable=True),
        sa.Column("correlation_id", sa.Text(), nullable=True),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("available_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason_code", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("prompt_version", sa.Text(), nullable=True),
        sa.Column("parts", sa.Integer(), nullable=True),
        sa.Column("insight", postgresql.JSONB(), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'done', 'failed')", name=op.f("analyses_state_check")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("analyses_pkey")),
    )
    op.create_index(
        "analyses_pending_idx",
        "analyses",
        ["available_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )


def downgrade() -> None:
    """Take the revision back."""
    op.drop_table("analyses")
    op.execute("DELETE FROM enrichments WHERE state = 'awaited'")
    op.drop_constraint(op.f("enrichments_state_check"), "enrichments", type_="check")
    op.create_check_constraint(
        op.f("enrichments_state_check"), "enrichments", "state IN ('pending', 'done', 'failed', 'deleted')"
    )
    op.drop_column("enrichments", "summary")
    op.drop_column("enrichments", "languages")
