"""Facts that the jobs service tells about a job's life."""

from uuid import UUID

from .base import Event
from .options import JobOptions


class JobCreated(Event):
    """A recording is stored and waits to be transcribed."""

    routing_key = "job.created.v1"
    job_id: UUID
    owner_id: UUID
    file_name: str
    source_key: str
    size_bytes: int
    sha256: str
    options: JobOptions


class JobStarted(Event):
    """A slot was free: the attempt begins."""

    routing_key = "job.started.v1"
    job_id: UUID
    owner_id: UUID
    attempt: int


class JobTranscribed(Event):
    """The transcript of the attempt is the job's transcript now."""

    routing_key = "job.transcribed.v1"
    job_id: UUID
    owner_id: UUID
    attempt: int
    transcript_key: str
    language: str | None = None
    duration_seconds: float
    speech_seconds: float
    segments: int
    words: int


class JobCompleted(Event):
    """Nothing is left to do for the job; the note says what was left out."""

    routing_key = "job.completed.v1"
    job_id: UUID
    owner_id: UUID
    attempt: int
    note: str | None = None


class JobFailed(Event):
    """The job ended without a transcript, for the reason given."""

    routing_key = "job.failed.v1"
    job_id: UUID
    owner_id: UUID
    attempt: int
    reason_code: str
    reason: str


class JobCancelled(Event):
    """The job was stopped on request."""

    routing_key = "job.cancelled.v1"
    job_id: UUID
    owner_id: UUID
    attempt: int


class JobDeleted(Event):
    """The job's row is gone; everything kept elsewhere about it must go too."""

    routing_key = "job.deleted.v1"
    job_id: UUID
    owner_id: UUID
