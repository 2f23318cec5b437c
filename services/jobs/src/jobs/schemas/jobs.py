"""HTTP bodies of jobs."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self, cast
from uuid import UUID

from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from common.events import AudioSource, JobOptions, RecordingWarning, TrackChoice
from jobs.scheduling.fairness import Priority
from jobs.states import SENTENCES, State
from jobs.tables import Job, PastAttempt
from models.languages import language_code

from .costs import Costs
from .examples import DETAIL_EXAMPLE, JOB_EXAMPLE
from .listing import COUNTED, normalized_text
from .progress import Stage, Timings, progress, stage, timings

JobId = Annotated[UUID, Path(description="The job's id.", examples=["4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10"])]


class Restart(BaseModel):
    """Changed choices for a restart; omitted fields keep their value."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"model": "small", "language": None}, {"priority": "high"}]}
    )

    model: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    language: Annotated[str, AfterValidator(language_code)] | None = Field(
        default=None,
        max_length=64,
        description="ISO 639 code or English name; null = detect it, omitted = unchanged.",
    )
    task: Literal["transcribe", "translate"] | None = None
    word_timestamps: bool | None = None
    initial_prompt: Annotated[str, AfterValidator(normalized_text)] | None = Field(
        default=None, max_length=16_384, description="null = none, omitted = unchanged."
    )
    hotwords: Annotated[str, AfterValidator(normalized_text)] | None = Field(
        default=None, max_length=1000, description="null = none, omitted = unchanged."
    )
    multilingual: bool | None = None
    track: TrackChoice | None = Field(
        default=None,
        description="Number of an audio track, or mix; null = choose it automatically, omitted = unchanged.",
    )
    priority: Priority | None = None

    def changes(self) -> dict[str, Any]:
        """Return the changed options; null is a value only for language, prompt, hot words and track."""
        chosen = self.model_dump(exclude_unset=True, exclude={"priority"})
        return {name: value for name, value in chosen.items() if value is not None or name in _NULLABLE}


_NULLABLE = frozenset({"language", "initial_prompt", "hotwords", "track"})


class JobView(BaseModel):
    """A job; durations are in seconds, times in UTC."""

    model_config = ConfigDict(json_schema_extra={"examples": [JOB_EXAMPLE]})

    id: UUID
    owner_id: UUID
    owner_name: str | None = Field(description="The owner's user name when the job was created.")
    file_name: str
    content_type: str
    size_bytes: int
    sha256: str
    state: State = Field(description=" ".join(f"{state}: {sentence}" for state, sentence in SENTENCES.items()))
    reason_code: str | None = Field(description="Stable code of the reason for the state, if there is one.")
    reason: str | None = Field(description="The reason as a sentence.")
    stage: Stage
    progress: float = Field(ge=0, le=1, description="Share of the speech that is transcribed.")
    attempt: int
    options: JobOptions
    priority: Priority
    tags: list[str]
    callback_url: str | None
    duplicate_of: UUID | None = Field(description="Your first job with the same recording, if this job is a duplicate.")
    keywords: list[str]
    language: str | None
    duration_seconds: float | None
    speech_seconds: float | None
    source: AudioSource | None = Field(
        default=None,
        description="The file and its audio tracks, from the last plan; null = not planned yet.",
    )
    warnings: list[RecordingWarning] = Field(
        default=[], description="Parts of the recording that are missing or misplaced in this attempt's transcript."
    )
    chunks_total: int = Field(description="Chunks known so far; final once the plan has ended.")
    chunks_done: int
    transcript_attempt: int | None = Field(description="The attempt that produced the job's transcript.")
    formats: list[str]
    created_at: datetime
    queued_at: datetime = Field(description="Time of the creation or of the last restart.")
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
    state: State = Field(description="The final state, or the job's state for the current attempt.")
    reason_code: str | None
    reason: str | None
    options: JobOptions
    chunks_total: int | None = Field(description="null = the plan did not end.")
    chunks_done: int
    decode_seconds: float
    warnings: list[RecordingWarning] = []
    queued_at: datetime
    started_at: datetime | None
    transcribed_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, row: Job | PastAttempt) -> "Attempt":
        """Return the view of a past attempt, or of a job's current one."""
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
    """A job with its position in the queue, its attempts and its costs."""

    model_config = ConfigDict(json_schema_extra={"examples": [DETAIL_EXAMPLE]})

    queue_position: int | None = Field(description="1 = the next to start; null = not queued.")
    eta_seconds: float | None = Field(
        description="Estimated seconds until the transcript, from the jobs ahead and the recent speed; null = unknown."
    )
    attempts: list[Attempt] = Field(description="Every attempt that has started, the current one last.")
    costs: Costs = Field(description="Costs of all attempts together.")

    @classmethod
    def with_history(
        cls, job: Job, past: list[PastAttempt], *, queue_position: int | None, eta_seconds: float | None
    ) -> "JobDetail":
        """Return the view of a row, its past attempts and its outlook."""
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
    """A page of the matching jobs, in the requested order."""

    items: list[JobView]
    next_cursor: str | None = Field(description="Pass it back to get the next page; null = this is the last page.")
    total: int | None = Field(
        default=None, description=f"Number of matching jobs, if requested; {COUNTED} means that many or more."
    )
