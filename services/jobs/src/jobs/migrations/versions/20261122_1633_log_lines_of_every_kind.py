"""The archive keeps lines without a job too: each has a kind and the service that said it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "3f6c1a94d2e7"
down_revision: str | Sequence[str] | None = "9dbb046c2bfa"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply the revision."""
    op.add_column("log_lines", sa.Column("kind", sa.Text(), server_default="job", nullable=False))
    op.add_column("log_lines", sa.Column("service", sa.Text(), nullable=True))
    op.execute("UPDATE log_lines SET service = coalesce(record ->> 'service', '')")
    op.alter_column("log_lines", "service", nullable=False)
    op.alter_column("log_lines", "kind", server_default=None)
    op.alter_column("log_lines", "job_id", nullable=True)
    op.create_check_constraint(op.f("log_lines_kind_check"), "log_lines", "kind IN ('job', 'access', 'system')")
    op.drop_index("log_lines_received_at_idx", table_name="log_lines")
    op.drop_index("log_lines_job_seq_idx", table_name="log_lines")
    op.create_index(
        "log_lines_job_seq_idx",
        "log_lines",
        ["job_id", "seq"],
        unique=False,
        postgresql_where=sa.text("job_id IS NOT NULL"),
    )
    op.create_index("log_lines_kind_seq_idx", "log_lines", ["kind", "seq"], unique=False)
    op.create_index("log_lines_service_seq_idx", "log_lines", ["service", "seq"], unique=False)


def downgrade() -> None:
    """Take the revision back; lines without a job are lost."""
    op.execute("DELETE FROM log_lines WHERE job_id IS NULL")
    op.drop_index("log_lines_service_seq_idx", table_name="log_lines")
    op.drop_index("log_lines_kind_seq_idx", table_name="log_lines")
    op.drop_index("log_lines_job_seq_idx", table_name="log_lines", postgresql_where=sa.text("job_id IS NOT NULL"))
    op.create_index("log_lines_job_seq_idx", "log_lines", ["job_id", "seq"], unique=False)
    op.create_index("log_lines_received_at_idx", "log_lines", ["received_at"], unique=False)
    op.drop_constraint(op.f("log_lines_kind_check"), "log_lines", type_="check")
    op.alter_column("log_lines", "job_id", nullable=False)
    op.drop_column("log_lines", "service")
    op.drop_column("log_lines", "kind")
