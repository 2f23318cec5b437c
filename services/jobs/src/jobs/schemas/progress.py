"""Stage, progress and durations of a job, computed from its row."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from jobs.states import State
from jobs.tables import Job

Stage = Literal["waiting", "planning", "transcribing", "assembling", "enriching", "done"]


class Timings(BaseModel):
    """Durations of a job in seconds; null = the phase has not ended."""

    queue_seconds: float | None
    transcription_seconds: float | None
    enrichment_seconds: float | None
    decode_seconds: float | None
    real_time_factor: float | None


def stage(job: Job) -> Stage:
    """Return the current stage of the job."""
    if job.state == State.QUEUED:
        return "waiting"
    if job.state == State.ENRICHING:
        return "enriching"
    if job.state != State.PROCESSING:
        return "done"
    if job.assembling_at is not None:
        return "assembling"
    return "transcribing" if job.chunks_known else "planning"


def progress(job: Job) -> float:
    """Return the share of the recording's speech that is transcribed, 0 to 1.

    While the plan runs, the rest is unknown: at least as much as is known so far is assumed, so that a job does not
    look nearly done before its end is found.
    """
    if job.state in (State.ENRICHING, State.COMPLETED):
        return 1.0
    known = job.seconds_known if job.plan_complete else 2 * job.seconds_known
    if known <= 0:
        return 0.0
    return round(min(job.seconds_done / known, 1.0), 4)


def timings(job: Job) -> Timings:
    """Return the job's durations, computed from the database's timestamps."""
    transcription = _between(job.started_at, job.transcribed_at)
    return Timings(
        queue_seconds=_between(job.queued_at, job.started_at),
        transcription_seconds=transcription,
        enrichment_seconds=_between(job.transcribed_at, job.finished_at),
        decode_seconds=round(job.decode_seconds, 3) if job.chunks_done else None,
        real_time_factor=round(job.duration_seconds / transcription, 2)
        if job.duration_seconds is not None and transcription
        else None,
    )


def clock(seconds: float) -> str:
    """Return a position in a recording as hours, minutes and seconds, e.g. 1:02:09."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def _between(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None:
        return None
    return round((end - start).total_seconds(), 3)
