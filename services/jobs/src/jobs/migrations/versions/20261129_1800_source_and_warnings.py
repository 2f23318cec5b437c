"""What a recording's file is, which tracks it has, and what is missing of it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "b7a2e4c91d63"
down_revision: str | Sequence[str] | None = "81f3c0d95e27"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the revision."""
    op.add_column("jobs", sa.Column("source", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    for table in ("jobs", "past_attempts"):
        op.add_column(
            table,
            sa.Column(
                "warnings", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False
            ),
        )


def downgrade() -> None:
    """Undo it."""
    for table in ("past_attempts", "jobs"):
        op.drop_column(table, "warnings")
    op.drop_column("jobs", "source")
