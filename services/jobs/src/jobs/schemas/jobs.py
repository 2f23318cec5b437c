"""HTTP bodies."""

import re
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from common.events import AudioSource, JobOptions, RecordingWarning, TrackChoice
from models.languages import language_code, language_for

from .costs import Costs
from .examples import DETAIL_EXAMPLE, JOB_EXAMPLE, LOG_PAGE_EXAMPLE, USAGE_EXAMPLE
from .listing import COUNTED, storable, tidy_tag
from .priorities import Priority
from .progress import Stage, Timings, progress, stage, timings
from .states import SENTENCES, State
from .tables import Job, LogLine, PastAttempt

_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")

JobId = Annotated[UUID, Path(description="The job's id.", examples=["4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10"])]
Storable = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(storable)]


def _web_address(value: str) -> str:
    """A URL that a result could be sent to later; it is stored and never called here."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or _UNPRINTABLE.search(value):
        raise ValueError("must be an http or https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain a user name or password")
    return value


Tag = Annotated[str, Field(max_length=64), AfterValidator(tidy_tag)]
WebAddress = Annotated[str, Field(max_length=2000), AfterValidator(_web_address)]


class Choices(BaseModel):
    """What a person may choose for a recording, however it is uploaded; some of it may still be missing."""

    model_config = ConfigDict(frozen=True)

    options: JobOptions = JobOptions()
    priority: Priority = "normal"
    tags: list[Tag] = Field(default=[], max_length=20)
    callback_url: WebAddress | None = None

    @field_validator("options")
    @classmethod
    def _possible_options(cls, value: JobOptions) -> JobOptions:
        texts = {name: getattr(value, name) for name in ("initial_prompt", "hotwords")}
        value = value.model_copy(update={name: storable(text) for name, text in texts.items() if text is not None})
        if value.language is None:
            return value
        # The model may come later than the language.
        known = partial(language_for, value.model) if "model" in value.model_fields_set else language_code
        return value.model_copy(update={"language": known(value.language)})

    @field_validator("tags")
    @classmethod
    def _each_once(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(value))


class NewJob(Choices):
    """A recording that is stored and shall be transcribed."""

    job_id: UUID
    file_name: Storable
    content_type: Storable
    size_bytes: int = Field(ge=0, lt=2**63)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    source_key: Storable


class Claim(BaseModel):
    """A request that wants to create under a key; `holder` tells its repetitions inside the platform from others."""

    key: str = Field(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")
    holder: UUID


class FulfilledClaim(Claim):
    """The same once the body is known; `fingerprint` tells bodies apart."""

    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")


class Reservation(BaseModel):
    """What came of a claim: the key is the holder's for a minute, or another's, or it was answered before."""

    state: Literal["held", "in_flight", "answered"]
    fingerprint: str | None = None
    answer: dict[str, Any] | None = None


class NewJobs(BaseModel):
    """Recordings of one upload."""

    jobs: list[NewJob] = Field(min_length=1, max_length=100)
    claim: FulfilledClaim | None = None


class Admission(BaseModel):
    """What somebody is about to upload, as far as it is known before the first byte."""

    jobs: int = Field(default=1, ge=1, le=100)
    size_bytes: int = Field(default=0, ge=0, lt=2**63)
    choices: str = Field(default="{}", max_length=32_768, description="What was chosen so far, as JSON.")

    @field_validator("choices")
    @classmethod
    def _possible_choices(cls, value: str) -> str:
        try:
            Choices.model_validate_json(value)
        except ValidationError as error:
            found = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
            raise ValueError("; ".join(found)) from error
        return value

    @property
    def chosen(self) -> Choices:
        """The choices."""
        return Choices.model_validate_json(self.choices)


class NewUpload(Choices):
    """A resumable upload that begins; it has the id of the job that it is to become, and ends by itself some time."""

    job_id: UUID
    size_bytes: int = Field(ge=0, lt=2**63)
    lifetime_seconds: float = Field(gt=0, le=366 * 86_400)


class Allowance(BaseModel):
    """How much of something a user has, and may have."""

    used: float
    allowed: float | None = Field(description="null = any amount.")
    resets_at: datetime | None = Field(default=None, description="When counting begins anew; null = it never does.")


class Usage(BaseModel):
    """What of a user's is limited."""

    model_config = ConfigDict(json_schema_extra={"examples": [USAGE_EXAMPLE]})

    queued_jobs: Allowance = Field(description="Jobs that wait for a slot.")
    stored_bytes: Allowance = Field(description="Bytes of all recordings, unfinished uploads included.")
    audio_hours_per_day: Allowance = Field(description="Hours of audio planned since midnight (UTC).")


class Restart(BaseModel):
    """What shall be different this time; what is left out stays as it was."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"model": "small", "language": None}, {"priority": "high"}]}
    )

    model: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    language: Annotated[str, AfterValidator(language_code)] | None = Field(
        default=None,
        max_length=64,
        description="ISO 639 code or English name; null = have it detected, left out = as before.",
    )
    task: Literal["transcribe", "translate"] | None = None
    word_timestamps: bool | None = None
    initial_prompt: Annotated[str, AfterValidator(storable)] | None = Field(
        default=None, max_length=16_384, description="null = none, left out = as before."
    )
    hotwords: Annotated[str, AfterValidator(storable)] | None = Field(
        default=None, max_length=1000, description="null = none, left out = as before."
    )
    multilingual: bool | None = None
    track: TrackChoice | None = Field(
        default=None, description="Number of an audio track, or mix; null = have it chosen, left out = as before."
    )
    priority: Priority | None = None

    def changes(self) -> dict[str, Any]:
        """The options that change; null chooses detection, no prompt, no hot words, any track, or means nothing."""
        chosen = self.model_dump(exclude_unset=True, exclude={"priority"})
        return {name: value for name, value in chosen.items() if value is not None or name in _NULLABLE}


_NULLABLE = frozenset({"language", "initial_prompt", "hotwords", "track"})


class JobView(BaseModel):
    """A job as its owner sees it; all times are seconds or UTC."""

    model_config = ConfigDict(json_schema_extra={"examples": [JOB_EXAMPLE]})

    id: UUID
    owner_id: UUID
    owner_name: str | None = Field(description="The owner's user name when the job was created.")
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
    priority: Priority
    tags: list[str]
    callback_url: str | None
    duplicate_of: UUID | None = Field(description="Your first job with the same recording, if this is not the first.")
    keywords: list[str]
    language: str | None
    duration_seconds: float | None
    speech_seconds: float | None
    source: AudioSource | None = Field(
        default=None,
        description="The recording's file and its audio tracks, as the last plan found them; null = not planned yet.",
    )
    warnings: list[RecordingWarning] = Field(
        default=[], description="What of the recording is missing in this attempt's transcript, or not in its place."
    )
    chunks_total: int = Field(description="Chunks known so far; final once the plan has ended.")
    chunks_done: int
    transcript_attempt: int | None = Field(description="The attempt whose transcript is the job's transcript.")
    formats: list[str]
    created_at: datetime
    queued_at: datetime = Field(description="When the current attempt was asked for: at creation or restart.")
    started_at: datetime | None
    transcribed_at: datetime | None
    finished_at: datetime | None
    timings: Timings

    @classmethod
    def of(cls, job: Job, **further: Any) -> Self:
        """Return the view of a row."""
        return cls(
            id=job.id,
            owner_id=job.owner_id,
            owner_name=job.owner_name,
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
            priority=cast("Priority", job.priority),
            tags=job.tags,
            callback_url=job.callback_url,
            duplicate_of=job.duplicate_of,
            keywords=job.keywords,
            language=job.language,
            duration_seconds=job.duration_seconds,
            speech_seconds=job.speech_seconds,
            source=None if job.source is None else AudioSource.model_validate(job.source),
            warnings=[RecordingWarning.model_validate(warning) for warning in job.warnings],
            chunks_total=max(job.chunks_known, job.chunks_planned or 0),
            chunks_done=job.chunks_done,
            transcript_attempt=job.transcript_attempt,
            formats=job.formats,
            created_at=job.created_at,
            queued_at=job.queued_at,
            started_at=job.started_at,
            transcribed_at=job.transcribed_at,
            finished_at=job.finished_at,
            timings=timings(job),
            **further,
        )


class Attempt(BaseModel):
    """One run of a job."""

    attempt: int
    state: State = Field(description="How it ended, or the job's state for the current attempt.")
    reason_code: str | None
    reason: str | None
    options: JobOptions
    chunks_total: int | None = Field(description="null = its plan never ended.")
    chunks_done: int
    decode_seconds: float
    warnings: list[RecordingWarning] = []
    queued_at: datetime
    started_at: datetime | None
    transcribed_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, row: Job | PastAttempt) -> "Attempt":
        """Return the view of a past attempt, or of the one that a job's row describes."""
        return cls(
            attempt=row.attempt,
            state=State(row.state),
            reason_code=row.reason_code,
            reason=row.reason,
            options=JobOptions.model_validate(row.options),
            chunks_total=row.chunks_planned,
            chunks_done=row.chunks_done,
            decode_seconds=round(row.decode_seconds, 3),
            warnings=[RecordingWarning.model_validate(warning) for warning in row.warnings],
            queued_at=row.queued_at,
            started_at=row.started_at,
            transcribed_at=row.transcribed_at,
            finished_at=row.finished_at,
        )


class JobDetail(JobView):
    """A job with its place in the queue and its past."""

    model_config = ConfigDict(json_schema_extra={"examples": [DETAIL_EXAMPLE]})

    queue_position: int | None = Field(description="1 = the next to start under fair turns; null = not queued.")
    eta_seconds: float | None = Field(
        description="Seconds until the transcript, from what is ahead and the speed measured lately; null = unknown."
    )
    attempts: list[Attempt] = Field(description="Every attempt that has begun, the current one last.")
    costs: Costs = Field(description="What all attempts together have cost.")

    @classmethod
    def with_history(
        cls, job: Job, past: list[PastAttempt], *, queue_position: int | None, eta_seconds: float | None
    ) -> "JobDetail":
        """Return the view of a row with what its row does not tell."""
        taken = timings(job)
        begun: list[Job | PastAttempt] = [*past, job] if job.started_at is not None else [*past]
        return cls.of(
            job,
            queue_position=queue_position,
            eta_seconds=eta_seconds,
            attempts=[Attempt.of(row) for row in begun],
            costs=Costs.of(job, past, queue_seconds=taken.queue_seconds, rtfx=taken.real_time_factor),
        )


class JobPage(BaseModel):
    """Some of the jobs that fit, in the order wanted."""

    items: list[JobView]
    next_cursor: str | None = Field(description="Pass it back to get what follows; null = this is the end.")
    total: int | None = Field(
        default=None, description=f"How many fit, if asked for; {COUNTED} means that many or more."
    )


class CreatedJobs(BaseModel):
    """The jobs of an upload, in the order of its files."""

    items: list[JobView]


class LogEntry(BaseModel):
    """One archived log record."""

    seq: int
    record: dict[str, Any]


class LogPage(BaseModel):
    """Log records in the order in which they were archived."""

    model_config = ConfigDict(json_schema_extra={"examples": [LOG_PAGE_EXAMPLE]})

    items: list[LogEntry]
    next_after: int = Field(description="Pass it as `after` to get what follows, now or later.")
    complete: bool = Field(description="Nothing else was in the archive when this page was read.")

    @classmethod
    def of(cls, lines: list[LogLine], upto: int, *, limit: int) -> "LogPage":
        """Return the page of at most `limit` lines that has every line up to the number `upto`."""
        items = [LogEntry(seq=line.seq, record=line.record) for line in lines]
        complete = len(items) < limit
        return cls(items=items, next_after=upto if complete else items[-1].seq, complete=complete)
