"""HTTP bodies."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from common.events import JobOptions

from .errors import InvalidCursor
from .progress import Stage, Timings, progress, stage, timings
from .states import SENTENCES, State
from .tables import Job, LogLine


def _storable(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain the character U+0000")
    return value


Storable = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_storable)]


JOB_EXAMPLE: dict[str, Any] = {
    "id": "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10",
    "owner_id": "0d9a4f2e-51c7-4f0e-8a34-6f1f3a2b9c77",
    "file_name": "interview.mp3",
    "content_type": "audio/mpeg",
    "size_bytes": 4810233,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "state": "processing",
    "reason_code": None,
    "reason": None,
    "stage": "transcribing",
    "progress": 0.42,
    "attempt": 1,
    "options": {
        "model": "base",
        "language": None,
        "task": "transcribe",
        "word_timestamps": False,
        "initial_prompt": None,
    },
    "language": "en",
    "duration_seconds": 301.4,
    "speech_seconds": 268.9,
    "chunks_total": 5,
    "chunks_done": 2,
    "transcript_attempt": None,
    "formats": [],
    "created_at": "2026-11-22T12:00:00Z",
    "started_at": "2026-11-22T12:00:01Z",
    "transcribed_at": None,
    "finished_at": None,
    "timings": {
        "queue_seconds": 0.8,
        "transcription_seconds": None,
        "enrichment_seconds": None,
        "decode_seconds": None,
        "real_time_factor": None,
    },
}


class NewJob(BaseModel):
    """A recording that is stored and shall be transcribed."""

    model_config = ConfigDict(frozen=True)

    job_id: UUID
    file_name: Storable
    content_type: Storable
    size_bytes: int = Field(ge=0, lt=2**63)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    source_key: Storable
    options: JobOptions = JobOptions()

    @field_validator("options")
    @classmethod
    def _storable_options(cls, value: JobOptions) -> JobOptions:
        for text in (value.language, value.initial_prompt):
            _storable(text or "")
        return value


class JobView(BaseModel):
    """A job as its owner sees it; all times are seconds or UTC."""

    model_config = ConfigDict(json_schema_extra={"examples": [JOB_EXAMPLE]})

    id: UUID
    owner_id: UUID
    file_name: str
    content_type: str
    size_bytes: int
    sha256: str
    state: State = Field(description=" ".join(f"{state}: {sentence}" for state, sentence in SENTENCES.items()))
    reason_code: str | None = Field(description="Stable code of what made the state worth explaining.")
    reason: str | None = Field(description="The same as a sentence for people.")
    stage: Stage
    progress: float = Field(ge=0, le=1, description="Share of the speech that is transcribed.")
    attempt: int
    options: JobOptions
    language: str | None
    duration_seconds: float | None
    speech_seconds: float | None
    chunks_total: int = Field(description="Chunks known so far; final once the plan has ended.")
    chunks_done: int
    transcript_attempt: int | None = Field(description="The attempt whose transcript is the job's transcript.")
    formats: list[str]
    created_at: datetime
    started_at: datetime | None
    transcribed_at: datetime | None
    finished_at: datetime | None
    timings: Timings

    @classmethod
    def of(cls, job: Job) -> "JobView":
        """Return the view of a row."""
        return cls(
            id=job.id,
            owner_id=job.owner_id,
            file_name=job.file_name,
            content_type=job.content_type,
            size_bytes=job.size_bytes,
            sha256=job.sha256,
            state=State(job.state),
            reason_code=job.reason_code,
            reason=job.reason,
            stage=stage(job),
            progress=progress(job),
            attempt=job.attempt,
            options=job.choices,
            language=job.language,
            duration_seconds=job.duration_seconds,
            speech_seconds=job.speech_seconds,
            chunks_total=max(job.chunks_known, job.chunks_planned or 0),
            chunks_done=job.chunks_done,
            transcript_attempt=job.transcript_attempt,
            formats=job.formats,
            created_at=job.created_at,
            started_at=job.started_at,
            transcribed_at=job.transcribed_at,
            finished_at=job.finished_at,
            timings=timings(job),
        )


class JobPage(BaseModel):
    """Some of the owner's jobs, newest first."""

    items: list[JobView]
    next_cursor: str | None = Field(description="Pass it back to get what follows; null = this is the end.")

    @classmethod
    def of(cls, jobs: list[Job], limit: int) -> "JobPage":
        """Return a page of at most `limit` jobs; one job more than that tells that another page follows."""
        shown = jobs[:limit]
        more = len(jobs) > limit
        return cls(
            items=[JobView.of(job) for job in shown],
            next_cursor=Cursor(created_at=shown[-1].created_at, id=shown[-1].id).encode() if more else None,
        )


class Cursor(BaseModel):
    """A position in a listing, opaque to clients."""

    created_at: datetime
    id: UUID

    @property
    def position(self) -> tuple[datetime, UUID]:
        """The last job that was shown."""
        return (self.created_at, self.id)

    def encode(self) -> str:
        """Return the position as a URL-safe string."""
        return base64.urlsafe_b64encode(f"{self.created_at.isoformat()} {self.id}".encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Return the position in a string; raises InvalidCursor."""
        try:
            padded = text + "=" * (-len(text) % 4)
            created_at, _, job_id = base64.b64decode(padded, altchars=b"-_", validate=True).decode().partition(" ")
            moment = datetime.fromisoformat(created_at)
            if moment.tzinfo is None:
                raise ValueError("no time zone")
            return cls(created_at=moment, id=UUID(job_id))
        except (ValueError, binascii.Error) as error:
            raise InvalidCursor("the cursor is not one that this listing gave out") from error


class LogEntry(BaseModel):
    """One archived log record."""

    seq: int
    record: dict[str, Any]


class LogPage(BaseModel):
    """Log records in the order in which they were archived."""

    items: list[LogEntry]
    next_after: int = Field(description="Pass it as `after` to get what follows, now or later.")
    complete: bool = Field(description="Nothing else was in the archive when this page was read.")

    @classmethod
    def of(cls, lines: list[LogLine], upto: int, *, limit: int) -> "LogPage":
        """Return the page of at most `limit` lines that has every line up to the number `upto`."""
        items = [LogEntry(seq=line.seq, record=line.record) for line in lines]
        complete = len(items) < limit
        return cls(items=items, next_after=upto if complete else items[-1].seq, complete=complete)
