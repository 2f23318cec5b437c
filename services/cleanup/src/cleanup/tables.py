"""Rows of the cleanup service."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Boolean, CheckConstraint, DateTime, Index, Text, func, text, true
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common import database


class State(StrEnum):
    """What cleanup knows about a job."""

    LIVE = "live"  # not finished: nothing of it is ever touched
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETED = "deleted"  # a tombstone: whatever is found of it goes


class Base(DeclarativeBase):
    """Tables of this service's schema."""

    metadata = database.metadata()


class Outbox(database.OutboxMixin, Base):
    """Events on their way to the bus."""


class Inbox(database.InboxMixin, Base):
    """Events whose effect is committed."""


class KnownJob(Base):
    """A job as the events tell of it."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("state IN ('live', 'completed', 'failed', 'cancelled', 'deleted')", name="state"),
        # Each rule looks for few rows among many.
        Index("jobs_deleted_idx", "look_again_at", postgresql_where=text("state = 'deleted' AND emptied_at IS NULL")),
        Index(
            "jobs_chunk_audio_idx",
            "finished_at",
            postgresql_where=text("state = 'completed' AND chunk_audio_dropped_at IS NULL"),
        ),
        Index(
            "jobs_finished_idx", "finished_at", postgresql_where=text("state IN ('completed', 'failed', 'cancelled')")
        ),
    )

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(Text)
    # The attempt that ended last; chunk audio of a later one is never touched.
    attempt: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    chunk_audio_dropped_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    expired_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))  # last told so
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    look_again_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    emptied_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Suspect(Base):
    """An upload whose job nobody has told of, since when."""

    __tablename__ = "suspects"

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    first_seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Catalogue(Base):
    """One row: since when this schema hears of jobs. It cannot judge what is older."""

    __tablename__ = "catalogue"
    __table_args__ = (CheckConstraint("only_row", name="only_row"),)

    only_row: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=true())
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
