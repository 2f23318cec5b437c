"""The rows: jobs and their chunk ledger, workers, the log archive, dead letters, and messaging's bookkeeping."""

from datetime import date, datetime
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
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common import database
from common.database import InboxMixin, OutboxMixin
from common.events import JobOptions

from .priorities import PRIORITIES
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


# What a listing sorts and filters by, as its queries and its indexes spell it; what is unknown has a place too.
FINISHED = text("coalesce(finished_at, '9999-12-31 00:00:00+00'::timestamptz)")
DURATION = text("coalesce(duration_seconds, '-1'::double precision)")
MODEL = text("(options ->> 'model')")


class Job(Base):
    """One recording to transcribe; counters and seconds are of the current attempt."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(_one_of("state", [str(state) for state in State]), name="state"),
        CheckConstraint(_one_of("priority", list(PRIORITIES)), name="priority"),
        # The listing, with and without a state filter.
        Index("jobs_owner_created_idx", "owner_id", text("created_at DESC"), text("id DESC")),
        Index("jobs_owner_state_created_idx", "owner_id", "state", text("created_at DESC"), text("id DESC")),
        Index("jobs_owner_model_created_idx", "owner_id", MODEL, text("created_at DESC"), text("id DESC")),
        Index("jobs_owner_finished_idx", "owner_id", FINISHED, "id"),
        Index("jobs_owner_duration_idx", "owner_id", DURATION, "id"),
        # The same for administrators, who may list everybody's jobs.
        Index("jobs_created_idx", text("created_at DESC"), text("id DESC")),
        Index("jobs_finished_idx", FINISHED, "id"),
        Index("jobs_duration_idx", DURATION, "id"),
        Index("jobs_search_idx", "search", postgresql_using="gin"),
        Index("jobs_grams_idx", "grams", postgresql_using="gin"),
        Index("jobs_not_shown_idx", "id", postgresql_where=text("shown IS NULL")),
        Index("jobs_tags_idx", "tags", postgresql_using="gin"),
        # What the owner's recordings take up, without reading the rows.
        Index("jobs_owner_size_idx", "owner_id", postgresql_include=["size_bytes"]),
        # Whether the owner has sent the same recording before.
        Index("jobs_owner_sha256_idx", "owner_id", "sha256", "created_at"),
        Index("jobs_duplicate_of_idx", "duplicate_of", postgresql_where=text("duplicate_of IS NOT NULL")),
        # Dispatch: who waits, next in line first per owner; whose last turn was when; what is alive.
        Index("jobs_queued_idx", "owner_id", "turn_at", "id", postgresql_where=text("state = 'queued'")),
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
    owner_name: Mapped[str | None]  # as the owner's token said; null in rows older than the column
    priority: Mapped[str] = mapped_column(server_default="normal")
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    callback_url: Mapped[str | None]
    # The owner's first job with the same recording.
    duplicate_of: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))

    state: Mapped[str] = mapped_column(server_default=State.QUEUED)
    reason_code: Mapped[str | None]
    reason: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    queued_at: Mapped[datetime] = mapped_column(server_default=func.now())  # again at every restart
    turn_at: Mapped[datetime] = mapped_column(server_default=func.now())  # queued_at, moved by the priority
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
    source: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))  # an AudioSource
    warnings: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'"))  # [{code, text}]

    # The pointer to the visible transcript; it moves last.
    transcript_attempt: Mapped[int | None]
    transcript_sha256: Mapped[str | None]
    formats: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    segments: Mapped[int | None]
    words: Mapped[int | None]
    keywords: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))

    # What all attempts together have cost; see costs.py.
    cpu_seconds: Mapped[float] = mapped_column(server_default="0")
    gpu_seconds: Mapped[float] = mapped_column(server_default="0")
    decoded_seconds: Mapped[float] = mapped_column(server_default="0")  # of audio
    wasted_seconds: Mapped[float] = mapped_column(server_default="0")
    retries: Mapped[int] = mapped_column(server_default="0")

    # Number of the newest line in the job's history of events.
    last_event: Mapped[int] = mapped_column(BigInteger, server_default="0")
    # How jobs are found, see search/: file name and tags as they are compared (null = not written yet by a service that
    # knows the column), their sequences of characters, and the terms of keywords and transcript. They are large, so no
    # other query reads them along with the rest.
    shown: Mapped[str | None] = mapped_column(deferred=True)
    grams: Mapped[Any] = mapped_column(TSVECTOR, server_default=text("''::tsvector"), deferred=True)
    search: Mapped[Any] = mapped_column(TSVECTOR, server_default=text("''::tsvector"), deferred=True)

    @property
    def choices(self) -> JobOptions:
        """The options as the message catalogue knows them."""
        return JobOptions.model_validate(self.options)

    @property
    def spoken_language(self) -> str | None:
        """The language of the transcript, which is not always that of the recording."""
        return "en" if self.choices.task == "translate" else self.language

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
    segments: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB)  # [{start, end, text}]
    decode_seconds: Mapped[float | None]
    worker: Mapped[str | None]
    deliveries: Mapped[int] = mapped_column(server_default="1")  # of the work that gave the result
    # The earlier attempt whose result this is; null = decoded in this one.
    reused_from: Mapped[int | None]


class PastAttempt(Base):
    """An attempt that a restart left behind, as the job's row described it at that moment."""

    __tablename__ = "past_attempts"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    options: Mapped[dict[str, Any]]
    state: Mapped[str]
    reason_code: Mapped[str | None]
    reason: Mapped[str | None]
    queued_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    transcribed_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    chunks_planned: Mapped[int | None]
    chunks_done: Mapped[int]
    decode_seconds: Mapped[float]
    warnings: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'"))


class Verification(Base):
    """Somebody's wish to have some chunks of a transcript decoded again, and what came of it."""

    __tablename__ = "verifications"
    __table_args__ = (
        Index("verifications_job_created_idx", "job_id", text("created_at DESC")),
        Index("verifications_running_idx", "created_at", postgresql_where=text("finished_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    attempt: Mapped[int]
    seed: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
    # By chunk number, in the order in which they were drawn; see verification.py.
    checks: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)


class JobEvent(Base):
    """Something that people who watch a job hear of, written with the change it tells of; `seq` has no gaps."""

    __tablename__ = "job_events"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    kind: Mapped[str]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class IdempotencyKey(Base):
    """A creation that a client named, so that repeating it does not create twice; a null answer = not ended yet."""

    __tablename__ = "idempotency_keys"

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[UUID]  # the request that may end it, while its lease lasts
    leased_until: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    fingerprint: Mapped[str | None]
    # A missing answer is no value, not the JSON value null.
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))


class AudioDay(Base):
    """How much audio an owner's finished plans held on a day (UTC)."""

    __tablename__ = "audio_days"

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True, index=True)
    seconds: Mapped[float]


class UploadBegun(Base):
    """A resumable upload that is no job yet: all its bytes count as stored, until it is given up or has expired."""

    __tablename__ = "uploads_begun"

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(index=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[datetime]


class DeletedUser(Base):
    """An account that is gone: nothing may begin in its name, whatever token still says that it exists."""

    __tablename__ = "deleted_users"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    deleted_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


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
    tuning: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
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
