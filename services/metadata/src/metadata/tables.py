"""Rows of the metadata service."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Index, Integer, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common import database


class State(StrEnum):
    """Where the enrichment or the analysis of a job stands."""

    AWAITED = "awaited"  # the job is accepted, its transcript not there yet
    PENDING = "pending"  # waiting for this service's worker, or in its hands
    DONE = "done"  # the result is stored
    FAILED = "failed"  # given up: the transcript goes on without
    DELETED = "deleted"  # the job is gone; the row only keeps a late message from bringing it back


class Base(DeclarativeBase):
    """Tables of this service's schema."""

    metadata = database.metadata()


class Outbox(database.OutboxMixin, Base):
    """Events on their way to the bus."""


class Inbox(database.InboxMixin, Base):
    """Events whose effect is committed."""


class Leased(Base):
    """What is common to the tables whose rows are work: at most one row per job, for its latest transcript."""

    __abstract__ = True

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID]
    attempt: Mapped[int]
    state: Mapped[str] = mapped_column(Text)
    transcript_key: Mapped[str | None] = mapped_column(Text)
    # The request that caused it, so that its lines and events can be found together.
    correlation_id: Mapped[str | None] = mapped_column(Text)
    traceparent: Mapped[str | None] = mapped_column(Text)

    # How often the work was taken; with the attempt it fences what a worker that lost its lease brings back.
    tries: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    available_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Enrichment(Leased):
    """The enrichment of one job's transcript: work to do, then its result; durations in seconds."""

    __tablename__ = "enrichments"
    __table_args__ = (
        CheckConstraint("state IN ('awaited', 'pending', 'done', 'failed', 'deleted')", name="state"),
        # What the worker looks for; nearly all rows are finished ones.
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
    """The analysis of one job's transcript by a language model, made on request."""

    __tablename__ = "analyses"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'done', 'failed')", name="state"),
        Index("analyses_pending_idx", "available_at", postgresql_where=text("state = 'pending'")),
    )

    reason_code: Mapped[str | None] = mapped_column(Text)
    # Who made it, and how: the model's name, the version of the prompts, and in how many parts the text was read.
    model: Mapped[str | None] = mapped_column(Text)
    prompt_version: Mapped[str | None] = mapped_column(Text)
    parts: Mapped[int | None]
    insight: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))


class AnalysisDay(Base):
    """How many analyses a user has asked for on a day (UTC)."""

    __tablename__ = "analysis_days"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True, index=True)
    analyses: Mapped[int]
