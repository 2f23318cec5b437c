"""The naming convention, and the two tables that messaging keeps in each service's own schema."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Identity, Index, MetaData, Text, func
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

# Alembic can only drop or alter a constraint whose name it can compute.
_NAMING_CONVENTION = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}


def metadata() -> MetaData:
    """Return a new collection of tables under the project's naming convention, for one service's Base."""
    return MetaData(naming_convention=_NAMING_CONVENTION)


class OutboxMixin:
    """A message waiting to be published, written in the transaction of the change that it describes."""

    __tablename__ = "outbox"

    seq: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    message_id: Mapped[UUID]
    exchange: Mapped[str] = mapped_column(Text)
    routing_key: Mapped[str] = mapped_column(Text)
    message_type: Mapped[str] = mapped_column(Text)
    correlation_id: Mapped[str] = mapped_column(Text)
    traceparent: Mapped[str | None] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    available_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    published_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Index, ...]:  # noqa: N805 (SQLAlchemy passes the class)
        """Partial indexes for the relay: nearly all rows are published."""
        return (
            Index("outbox_pending_idx", "seq", postgresql_where="published_at IS NULL"),
            Index("outbox_published_at_idx", "published_at", postgresql_where="published_at IS NOT NULL"),
        )


class InboxMixin:
    """A message whose effect is committed: the row is written in the same transaction."""

    __tablename__ = "inbox"

    consumer: Mapped[str] = mapped_column(Text, primary_key=True)
    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), index=True)
