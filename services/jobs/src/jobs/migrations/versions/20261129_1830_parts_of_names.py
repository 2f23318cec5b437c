"""Jobs are found by any part of their names; what is stored is in one Unicode form."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "c41d7e9a3b58"
down_revision: str | Sequence[str] | None = "b7c41e0a92d6"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the revision; the service itself writes the terms of older jobs (`SearchRepository.rebuild`)."""
    op.add_column("jobs", sa.Column("shown", sa.Text(), nullable=True))
    op.add_column(
        "jobs", sa.Column("grams", postgresql.TSVECTOR(), server_default=sa.text("''::tsvector"), nullable=False)
    )
    op.create_index("jobs_grams_idx", "jobs", ["grams"], unique=False, postgresql_using="gin")
    op.create_index("jobs_not_shown_idx", "jobs", ["id"], unique=False, postgresql_where=sa.text("shown IS NULL"))
    op.execute("UPDATE jobs SET file_name = normalize(file_name) WHERE file_name IS NOT NORMALIZED")
    op.execute(
        "UPDATE jobs SET tags = ARRAY(SELECT normalize(tag) FROM unnest(tags) WITH ORDINALITY AS each(tag, place)"
        " GROUP BY normalize(tag) ORDER BY min(place)) WHERE array_to_string(tags, ' ') IS NOT NORMALIZED"
    )


def downgrade() -> None:
    """Take the revision back."""
    op.drop_index("jobs_not_shown_idx", table_name="jobs", postgresql_where=sa.text("shown IS NULL"))
    op.drop_index("jobs_grams_idx", table_name="jobs", postgresql_using="gin")
    op.drop_column("jobs", "grams")
    op.drop_column("jobs", "shown")
