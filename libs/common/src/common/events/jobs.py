"""Events of the jobs service about the state of a job."""

from uuid import UUID

from .base import Event
from .options import JobOptions


class JobCreated(Event):
    """A recording is stored and its job is queued."""

    routing_key = "job.created.v1"
    job_id: UUID
    owner_id: UUID
    file_name: str
    source_key: str
    size_bytes: int
    sha256: str
    options: JobOptions


class JobStarted(Event):
    """An attempt of the job has started."""

    routing_key = "job.started.v1"
    job_id: UUID
    owner_id: UUID
    attempt: int


class JobTranscribed(Event):
    """The transcript of the attempt is now the job's transcript."""

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
    """The job is complete; `note` says what is missing, for example the enrichment."""

    routing_key = "job.completed.v1"
    job_id: UUID
    owner_id: UUID
    attempt: int
    note: str | None = None


class JobFailed(Event):
    """The job failed without a transcript, for the given reason."""

    routing_key = "job.failed.v1"
    job_id: UUID
    owner_id: UUID
    attempt: int
    reason_code: str
    reason: str


class JobCancelled(Event):
    """The job was cancelled on request."""

    routing_key = "job.cancelled.v1"
    job_id: UUID
    owner_id: UUID
    attempt: int


class JobDeleted(Event):
    """The job was deleted; all data of other services about it must be deleted too."""

    routing_key = "job.deleted.v1"
    job_id: UUID
    owner_id: UUID
