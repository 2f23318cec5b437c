"""The rows: jobs and their chunk ledger, workers, the log archive, dead letters, and messaging's bookkeeping."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Text,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common import database
from common.database import InboxMixin, OutboxMixin
from common.events import JobOptions

from .states import State


class Base(DeclarativeBase):
    """All tables of this service."""

    metadata = database.metadata()
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
    }


class Outbox(OutboxMixin, Base):
    """Facts and work on their way to the broker."""


class Inbox(InboxMixin, Base):
    """Events whose effect is committed."""


def _one_of(column: str, values: list[str]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


class Job(Base):
    """One recording to transcribe; counters and seconds are of the current attempt."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(_one_of("state", [str(state) for state in State]), name="state"),
        # The listing, with and without a state filter.
        Index("jobs_owner_created_idx", "owner_id", text("created_at DESC"), text("id DESC")),
        Index("jobs_owner_state_created_idx", "owner_id", "state", text("created_at DESC"), text("id DESC")),
        # Dispatch: who waits, oldest first per owner; whose last turn was when; what is alive.
        Index("jobs_queued_idx", "owner_id", "created_at", "id", postgresql_where=text("state = 'queued'")),
        Index("jobs_owner_started_idx", "owner_id", "started_at", postgresql_where=text("started_at IS NOT NULL")),
        Index("jobs_running_idx", "state", "id", postgresql_where=text("state IN ('processing', 'enriching')")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID]
    file_name: Mapped[str]
    content_type: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    source_key: Mapped[str]
    options: Mapped[dict[str, Any]]
    # The request that created the job; dispatch continues its trace although it runs on its own.
    correlation_id: Mapped[str]
    traceparent: Mapped[str | None]

    state: Mapped[str] = mapped_column(server_default=State.QUEUED)
    reason_code: Mapped[str | None]
    reason: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    transcribed_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    # Plan or assembly work that is out, when it was last sent, how often; and when the attempt last moved.
    assembling_at: Mapped[datetime | None]
    work_dispatched_at: Mapped[datetime | None]
    work_dispatches: Mapped[int] = mapped_column(server_default="0")
    progressed_at: Mapped[datetime | None]

    chunks_planned: Mapped[int | None]  # as announced at the end of the plan; null while it runs
    chunks_known: Mapped[int] = mapped_column(server_default="0")
    chunks_done: Mapped[int] = mapped_column(server_default="0")
    seconds_known: Mapped[float] = mapped_column(server_default="0")
    seconds_done: Mapped[float] = mapped_column(server_default="0")
    decode_seconds: Mapped[float] = mapped_column(server_default="0")
    language: Mapped[str | None]
    duration_seconds: Mapped[float | None]
    speech_seconds: Mapped[float | None]
    plan_key: Mapped[str | None]
    peaks_key: Mapped[str | None]

    # The pointer to the visible transcript; it moves last.
    transcript_attempt: Mapped[int | None]
    transcript_sha256: Mapped[str | None]
    formats: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    segments: Mapped[int | None]
    words: Mapped[int | None]

    @property
    def choices(self) -> JobOptions:
        """The options as the message catalogue knows them."""
        return JobOptions.model_validate(self.options)

    @property
    def plan_complete(self) -> bool:
        """The plan has ended and every chunk it announced is in the ledger."""
        return self.chunks_planned is not None and self.chunks_known >= self.chunks_planned


class Chunk(Base):
    """One line of the chunk ledger."""

    __tablename__ = "chunks"
    __table_args__ = (
        CheckConstraint(_one_of("state", ["planned", "dispatched", "done"]), name="state"),
        Index("chunks_dispatched_idx", "dispatched_at", postgresql_where=text("state = 'dispatched'")),
    )

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    chunk: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(server_default="planned")
    seconds: Mapped[float]  # of audio to decode
    # Null when the result came in before the plan's announcement.
    start_seconds: Mapped[float | None]
    end_seconds: Mapped[float | None]
    windows: Mapped[int | None]
    language: Mapped[str | None]
    dispatched_at: Mapped[datetime | None]
    dispatches: Mapped[int] = mapped_column(server_default="0")
    done_at: Mapped[datetime | None]
    result_key: Mapped[str | None]
    result_sha256: Mapped[str | None]
    text: Mapped[str | None]
    decode_seconds: Mapped[float | None]
    worker: Mapped[str | None]


class Worker(Base):
    """A transcriber as its last heartbeat described it."""

    __tablename__ = "workers"

    worker: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    device: Mapped[str]
    engine: Mapped[str]
    models: Mapped[list[str]]
    busy: Mapped[str | None]
    version: Mapped[str]
    slots: Mapped[int] = mapped_column(server_default="1")
    paused: Mapped[bool] = mapped_column(server_default=false())
    gpu: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    first_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())


class LogLine(Base):
    """A log record; `seq` grows in the order in which lines became visible."""

    __tablename__ = "log_lines"
    __table_args__ = (
        CheckConstraint(_one_of("kind", ["job", "access", "system"]), name="kind"),
        Index("log_lines_job_seq_idx", "job_id", "seq", postgresql_where=text("job_id IS NOT NULL")),
        Index("log_lines_kind_seq_idx", "kind", "seq"),
        Index("log_lines_service_seq_idx", "service", "seq"),
    )

    seq: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str]
    service: Mapped[str]
    # No foreign key: the gateway speaks about a job before its row exists.
    job_id: Mapped[UUID | None]
    log_id: Mapped[UUID] = mapped_column(unique=True)
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    record: Mapped[dict[str, Any]]


class DeadLetter(Base):
    """A message that the broker gave up on, kept as it was."""

    __tablename__ = "dead_letters"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    # Dead-lettering is at least once; the same letter has the same fingerprint.
    fingerprint: Mapped[str] = mapped_column(unique=True)
    received_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    queue: Mapped[str]
    reason: Mapped[str]
    deliveries: Mapped[int]
    routing_key: Mapped[str]
    job_id: Mapped[UUID | None]
    headers: Mapped[dict[str, Any]]
    body: Mapped[bytes] = mapped_column(LargeBinary)
