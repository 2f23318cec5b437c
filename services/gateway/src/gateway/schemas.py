"""Bodies of the public interface, for its OpenAPI document: answers are passed on as the services give them."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from common.events import JobOptions

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


class Token(BaseModel):
    """An access token; `expires_in` counts seconds."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"access_token": "eyJ…", "token_type": "bearer", "expires_in": 3600}]}
    )

    access_token: str
    token_type: str
    expires_in: int


class Me(BaseModel):
    """Who the bearer of a token is."""

    user_id: UUID
    username: str
    role: Literal["admin", "user"]


class Timings(BaseModel):
    """Where a job's time went, in seconds; `real_time_factor` is audio seconds per wall second."""

    queue_seconds: float | None
    transcription_seconds: float | None
    enrichment_seconds: float | None
    decode_seconds: float | None
    real_time_factor: float | None


class Job(BaseModel):
    """One recording to transcribe. `progress` runs from 0 to 1; `reason` is a sentence for people."""

    model_config = ConfigDict(json_schema_extra={"examples": [JOB_EXAMPLE]})

    id: UUID
    owner_id: UUID
    file_name: str
    content_type: str
    size_bytes: int
    sha256: str
    state: Literal["queued", "processing", "enriching", "completed", "failed", "cancelled"]
    reason_code: str | None
    reason: str | None
    stage: Literal["waiting", "planning", "transcribing", "assembling", "enriching", "done"]
    progress: float
    attempt: int
    options: JobOptions
    language: str | None
    duration_seconds: float | None
    speech_seconds: float | None
    chunks_total: int
    chunks_done: int
    transcript_attempt: int | None
    formats: list[str]
    created_at: datetime
    started_at: datetime | None
    transcribed_at: datetime | None
    finished_at: datetime | None
    timings: Timings


class JobPage(BaseModel):
    """Jobs, newest first; `next_cursor` asks for the page after this one and is null on the last."""

    items: list[Job]
    next_cursor: str | None


class Keyword(BaseModel):
    """A word or phrase that a transcript is about."""

    keyword: str
    score: float


class Metadata(BaseModel):
    """What enrichment found out about a transcript; `speech_ratio` runs from 0 to 1."""

    job_id: UUID
    language: str | None
    duration_seconds: float
    speech_seconds: float
    speech_ratio: float
    segments: int
    words: int
    words_per_minute: float
    keywords: list[Keyword]
    created_at: datetime
