"""Seconds of each language."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "b1c47e90d2a6"
down_revision: str | Sequence[str] | None = "4f0b6a2d91c7"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the revision."""
    op.add_column("enrichments", sa.Column("language_seconds", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    """Take the revision back."""
    op.drop_column("enrichments", "language_seconds")
