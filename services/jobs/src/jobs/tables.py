"""Tables: jobs and the chunk ledger, workers, the log archive, dead letters, outbox and inbox."""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
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
    true,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common import database
from common.database import InboxMixin, OutboxMixin
from common.events import JobOptions

from .scheduling.fairness import PRIORITIES
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
    """Events and commands to publish."""


class Inbox(InboxMixin, Base):
    """Events that were applied."""


def _one_of(column: str, values: list[str]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


# Sort and filter expressions of the listing, shared by its queries and its indexes; unknown values sort too.
FINISHED = text("coalesce(finished_at, '9999-12-31 00:00:00+00'::timestamptz)")
DURATION = text("coalesce(duration_seconds, '-1'::double precision)")
MODEL = text("(options ->> 'model')")


class Job(Base):
    """One recording to transcribe; counters and seconds are those of the current attempt."""

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
        # The same for administrators, who may list the jobs of all users.
        Index("jobs_created_idx", text("created_at DESC"), text("id DESC")),
        Index("jobs_finished_idx", FINISHED, "id"),
        Index("jobs_duration_idx", DURATION, "id"),
        Index("jobs_search_idx", "search", postgresql_using="gin"),
        Index("jobs_grams_idx", "grams", postgresql_using="gin"),
        Index("jobs_not_shown_idx", "id", postgresql_where=text("shown IS NULL")),
        Index("jobs_tags_idx", "tags", postgresql_using="gin"),
        # Sum of the sizes of the owner's recordings, from the index alone.
        Index("jobs_owner_size_idx", "owner_id", postgresql_include=["size_bytes"]),
        # Duplicates of a recording of the same owner.
        Index("jobs_owner_sha256_idx", "owner_id", "sha256", "created_at"),
        Index("jobs_duplicate_of_idx", "duplicate_of", postgresql_where=text("duplicate_of IS NOT NULL")),
        # Dispatch: queued jobs per owner in order, the last turn of each owner, and running jobs.
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
    # Trace of the request that created the job; dispatch continues it.
    correlation_id: Mapped[str]
    traceparent: Mapped[str | None]
    owner_name: Mapped[str | None]  # user name in the owner's token; null in rows older than the column
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

    # Plan or assembly work in flight: when it was last sent and how often; and the attempt's last progress.
    assembling_at: Mapped[datetime | None]
    work_dispatched_at: Mapped[datetime | None]
    work_dispatches: Mapped[int] = mapped_column(server_default="0")
    progressed_at: Mapped[datetime | None]

    chunks_planned: Mapped[int | None]  # number announced at the end of the plan; null while it runs
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

    # The pointer to the visible transcript; it is updated last.
    transcript_attempt: Mapped[int | None]
    transcript_sha256: Mapped[str | None]
    formats: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    segments: Mapped[int | None]
    words: Mapped[int | None]
    keywords: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))

    # Costs of all attempts together; see schemas/costs.py.
    cpu_seconds: Mapped[float] = mapped_column(server_default="0")
    gpu_seconds: Mapped[float] = mapped_column(server_default="0")
    decoded_seconds: Mapped[float] = mapped_column(server_default="0")  # of audio
    wasted_seconds: Mapped[float] = mapped_column(server_default="0")
    retries: Mapped[int] = mapped_column(server_default="0")

    # Number of the newest event of the job.
    last_event: Mapped[int] = mapped_column(BigInteger, server_default="0")
    # Search terms, see search/: the comparable form of file name and tags (null = not written yet by a release that
    # has the column), their character sequences, and the terms of keywords and transcript. They are large, so they are
    # loaded only on request.
    shown: Mapped[str | None] = mapped_column(deferred=True)
    grams: Mapped[Any] = mapped_column(TSVECTOR, server_default=text("''::tsvector"), deferred=True)
    search: Mapped[Any] = mapped_column(TSVECTOR, server_default=text("''::tsvector"), deferred=True)

    @property
    def choices(self) -> JobOptions:
        """The options as the type of the message catalogue."""
        return JobOptions.model_validate(self.options)

    @property
    def spoken_language(self) -> str | None:
        """The language of the transcript, which differs from the recording's after a translation."""
        return "en" if self.choices.task == "translate" else self.language

    @property
    def plan_complete(self) -> bool:
        """Whether the plan has ended and every announced chunk is in the ledger."""
        return self.chunks_planned is not None and self.chunks_known >= self.chunks_planned


class Chunk(Base):
    """One row of the chunk ledger."""

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
    # Null when the result arrived before the plan's announcement.
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
    deliveries: Mapped[int] = mapped_column(server_default="1")  # of the work that produced the result
    # The earlier attempt whose result is reused; null = decoded in this attempt.
    reused_from: Mapped[int | None]


class PastAttempt(Base):
    """An attempt that a restart replaced: a copy of the job's columns at that moment."""

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
    """A request to decode some chunks of a transcript again, and the results."""

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
    # One check per chunk, in the order in which they were drawn; see schemas/verifications.py.
    checks: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)


class JobEvent(Base):
    """An event for clients that follow a job, written in the transaction of its change; `seq` has no gaps."""

    __tablename__ = "job_events"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    kind: Mapped[str]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class IdempotencyKey(Base):
    """An Idempotency-Key and the answer to its creation; a null answer = the creation has not ended."""

    __tablename__ = "idempotency_keys"

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[UUID]  # the request that holds the lease
    leased_until: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    fingerprint: Mapped[str | None]
    # A missing answer is SQL NULL, not the JSON value null.
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))


class AudioDay(Base):
    """Seconds of audio in an owner's finished plans on a day (UTC)."""

    __tablename__ = "audio_days"

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True, index=True)
    seconds: Mapped[float]


class UploadBegun(Base):
    """A resumable upload without a job yet: its bytes count as stored until it is aborted or expires."""

    __tablename__ = "uploads_begun"

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(index=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[datetime]


class DeletedUser(Base):
    """Tombstone of a deleted account: its tokens, even those still valid, cannot create or start anything."""

    __tablename__ = "deleted_users"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    deleted_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class Worker(Base):
    """A transcriber, from its last heartbeat."""

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


class LogRecord(Base):
    """An archived log record; `seq` grows in the order in which records became visible."""

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
    # No foreign key: the gateway logs with a job id before the row exists.
    job_id: Mapped[UUID | None]
    log_id: Mapped[UUID] = mapped_column(unique=True)
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    record: Mapped[dict[str, Any]]


class DeadLetter(Base):
    """A dead-lettered message, unchanged."""

    __tablename__ = "dead_letters"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    # Dead-lettering is at least once; equal messages have equal fingerprints.
    fingerprint: Mapped[str] = mapped_column(unique=True)
    received_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    queue: Mapped[str]
    reason: Mapped[str]
    deliveries: Mapped[int]
    routing_key: Mapped[str]
    job_id: Mapped[UUID | None]
    headers: Mapped[dict[str, Any]]
    body: Mapped[bytes] = mapped_column(LargeBinary)


class Concurrency(Base):
    """At most one row: an administrator's overrides of the settings; null = the setting applies."""

    __tablename__ = "concurrency"
    __table_args__ = (CheckConstraint("only_row", name="only_row"),)

    only_row: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=true())
    max_concurrent_jobs: Mapped[int | None]
    chunks_in_flight_per_job: Mapped[int | None]
    chunks_in_flight_per_worker: Mapped[int | None]
    paused_workers: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    changed_by: Mapped[UUID]


class Instance(Base):
    """A service process, from its last heartbeat."""

    __tablename__ = "instances"

    service: Mapped[str] = mapped_column(primary_key=True)
    instance: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    version: Mapped[str]
    started_at: Mapped[datetime]
    cpu_percent: Mapped[float]
    memory_bytes: Mapped[int] = mapped_column(BigInteger)
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())


class StoredKind(Base):
    """Storage used by one kind of file, at cleanup's last measurement."""

    __tablename__ = "stored_kinds"

    kind: Mapped[str] = mapped_column(primary_key=True)
    objects: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)
    measured_at: Mapped[datetime]


class Replay(Base):
    """The replay of a dead letter; a dead letter is replayed once."""

    __tablename__ = "replays"

    letter_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("dead_letters.id", ondelete="CASCADE"), primary_key=True
    )
    replayed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    replayed_by: Mapped[UUID]
    # Id of the new message; null when the job was restarted instead, which sends its own work.
    message_id: Mapped[UUID | None]
