"""The tables of the cleanup service."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Identity,
    Index,
    Text,
    Uuid,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common import database


class State(StrEnum):
    """The state of a job as far as cleanup distinguishes it."""

    LIVE = "live"  # not finished: its objects are never deleted
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETED = "deleted"  # a tombstone: all its objects are deleted


class Base(DeclarativeBase):
    """Base of the tables of this service's schema."""

    metadata = database.metadata()


class Outbox(database.OutboxMixin, Base):
    """Events to publish."""


class Inbox(database.InboxMixin, Base):
    """Events that are processed."""


class KnownJob(Base):
    """A job, built from events alone."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("state IN ('live', 'completed', 'failed', 'cancelled', 'deleted')", name="state"),
        # Each rule selects few rows among many.
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
    file_name: Mapped[str | None] = mapped_column(Text)  # null in rows older than the column
    state: Mapped[str] = mapped_column(Text)
    # The attempt that began or ended last; chunk audio of later attempts is never deleted.
    attempt: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    chunk_audio_dropped_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    expired_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))  # last published as expired
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    look_again_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    emptied_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Suspect(Base):
    """An upload without an event about its job, and when it was first seen."""

    __tablename__ = "suspects"

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    first_seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Catalogue(Base):
    """One row: since when this schema receives events about jobs. Older uploads are never orphans."""

    __tablename__ = "catalogue"
    __table_args__ = (CheckConstraint("only_row", name="only_row"),)

    only_row: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=true())
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Freed(Base):
    """Objects that a rule is about to delete or has deleted, and that are in no report yet.

    Written before the first object is deleted: a killed process leaves an open row, which the repeated rule closes, so
    that the reports are complete.
    """

    __tablename__ = "freed"
    __table_args__ = (Index("freed_open_idx", "rule", "job_id", unique=True, postgresql_where=text("done_at IS NULL")),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    rule: Mapped[str] = mapped_column(Text)
    job_id: Mapped[UUID | None]
    objects: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)
    done_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class ResetOrder(Base):
    """A reset, and the resumable uploads that existed when it was ordered."""

    __tablename__ = "resets"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    requested_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    requested_by: Mapped[UUID]
    users: Mapped[bool]
    uploads: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    # When the last of these uploads was aborted; the jobs service deletes the jobs.
    done_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Report(Base):
    """A requested, running or finished sweep, and what it deleted."""

    __tablename__ = "reports"
    __table_args__ = (CheckConstraint("cause IN ('schedule', 'deletion', 'request')", name="cause"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    cause: Mapped[str] = mapped_column(Text)
    requested_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    requested_by: Mapped[UUID | None]
    started_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    freed: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    failed: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))


class Config(Base):
    """At most one row: values that override the settings; null: the setting applies."""

    __tablename__ = "config"
    __table_args__ = (CheckConstraint("only_row", name="only_row"),)

    only_row: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=true())
    cleanup_enabled: Mapped[bool | None]
    cleanup_days: Mapped[float | None]
    cleanup_interval_seconds: Mapped[float | None]
    orphan_age_hours: Mapped[float | None]
    chunk_audio_hours: Mapped[float | None]
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    changed_by: Mapped[UUID]
