"""The tables of the metadata service."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Index, Integer, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common import database


class State(StrEnum):
    """The state of an enrichment or an analysis."""

    AWAITED = "awaited"  # the job exists, its transcript does not yet
    PENDING = "pending"  # due or leased
    DONE = "done"  # the result is stored
    FAILED = "failed"  # failed permanently; the transcript is not affected
    DELETED = "deleted"  # the job is deleted; this tombstone stops late messages from creating it again


class Base(DeclarativeBase):
    """Base of the tables of this service's schema."""

    metadata = database.metadata()


class Outbox(database.OutboxMixin, Base):
    """Events to publish."""


class Inbox(database.InboxMixin, Base):
    """Events that are processed."""


class Leased(Base):
    """Columns of the tables whose rows are work: at most one row per job, for its latest transcript."""

    __abstract__ = True

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID]
    attempt: Mapped[int]
    state: Mapped[str] = mapped_column(Text)
    transcript_key: Mapped[str | None] = mapped_column(Text)
    # The request that caused the work, for its log records and events.
    correlation_id: Mapped[str | None] = mapped_column(Text)
    traceparent: Mapped[str | None] = mapped_column(Text)

    # How often the row was leased; with the attempt it fences results of a worker that has lost its lease.
    tries: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    available_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Enrichment(Leased):
    """The enrichment of one transcript and its result; durations in seconds."""

    __tablename__ = "enrichments"
    __table_args__ = (
        CheckConstraint("state IN ('awaited', 'pending', 'done', 'failed', 'deleted')", name="state"),
        # For the worker; nearly all rows are finished.
        Index("enrichments_pending_idx", "available_at", postgresql_where=text("state = 'pending'")),
        Index("enrichments_deleted_idx", "finished_at", postgresql_where=text("state = 'deleted'")),
    )

    language: Mapped[str | None] = mapped_column(Text)
    languages: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    language_seconds: Mapped[dict[str, float] | None] = mapped_column(JSONB(none_as_null=True))
    duration_seconds: Mapped[float | None]
    speech_seconds: Mapped[float | None]
    speech_ratio: Mapped[float | None]
    segments: Mapped[int | None]
    words: Mapped[int | None]
    words_per_minute: Mapped[float | None]
    keywords: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    summary: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))


class Analysis(Leased):
    """The analysis of one transcript by a language model, on request."""

    __tablename__ = "analyses"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'done', 'failed')", name="state"),
        Index("analyses_pending_idx", "available_at", postgresql_where=text("state = 'pending'")),
    )

    reason_code: Mapped[str | None] = mapped_column(Text)
    # Name of the model, version of the prompts, number of parts.
    model: Mapped[str | None] = mapped_column(Text)
    prompt_version: Mapped[str | None] = mapped_column(Text)
    parts: Mapped[int | None]
    insight: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))


class AnalysisDay(Base):
    """The number of analyses that a user has requested on a day (UTC)."""

    __tablename__ = "analysis_days"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True, index=True)
    analyses: Mapped[int]
