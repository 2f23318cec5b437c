"""Resets, and the uploads that each takes back."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "20261122_1920"
down_revision: str | Sequence[str] | None = "5c0e9a7d41b6"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "resets",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requested_by", sa.Uuid(), nullable=False),
        sa.Column("users", sa.Boolean(), nullable=False),
        sa.Column("uploads", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("resets_pkey")),
    )


def downgrade() -> None:
    """Take the revision back."""
    op.drop_table("resets")
