"""How a worker's engine uses its machine."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "5e0d9c7a4b31"
down_revision: str | Sequence[str] | None = "c4d81e6f0b92"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the revision."""
    op.add_column("workers", sa.Column("tuning", postgresql.JSONB(astext_type=sa.Text()), nullable=True))


def downgrade() -> None:
    """Undo it."""
    op.drop_column("workers", "tuning")
