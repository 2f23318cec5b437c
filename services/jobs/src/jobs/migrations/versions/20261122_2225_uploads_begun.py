"""Resumable uploads that are no jobs yet, whose bytes count as their owner's."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "81f3c0d95e27"
down_revision: str | Sequence[str] | None = "5e0d9c7a4b31"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "uploads_begun",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=op.f("uploads_begun_pkey")),
    )
    op.create_index(op.f("uploads_begun_owner_id_idx"), "uploads_begun", ["owner_id"], unique=False)


def downgrade() -> None:
    """Take it back."""
    op.drop_index(op.f("uploads_begun_owner_id_idx"), table_name="uploads_begun")
    op.drop_table("uploads_begun")
