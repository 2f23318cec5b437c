"""The costs of a job, all attempts together, measured where they were spent."""

from pydantic import BaseModel, Field

from jobs.tables import Job, PastAttempt


class Costs(BaseModel):
    """Costs of a job so far, in seconds unless stated otherwise."""

    cpu_seconds: float = Field(
        description="Processor time: decoding the recording, voice activity detection, transcription."
    )
    gpu_seconds: float = Field(description="GPU time spent on this job alone.")
    audio_seconds: float = Field(description="Audio that the model processed; reused results count once.")
    decode_seconds: float = Field(description="Wall time that workers spent on the chunks.")
    wasted_seconds: float = Field(
        description="Wall time of results that were not used (stale or duplicate) and of failed tries in workers that"
        " continued. The work of a killed worker counts as a retry."
    )
    retries: int = Field(description="Number of redeliveries and repeated dispatches of chunks.")
    queue_seconds: float | None = Field(
        description="Time that the current attempt waited for a slot; null = it still waits."
    )
    rtfx: float | None = Field(description="Seconds of recording per second from start to transcript.")

    @classmethod
    def of(cls, job: Job, past: list[PastAttempt], *, queue_seconds: float | None, rtfx: float | None) -> "Costs":
        """Return the view of a row and its past attempts."""
        useful = job.decode_seconds + sum(attempt.decode_seconds for attempt in past)
        return cls(
            cpu_seconds=round(job.cpu_seconds, 3),
            gpu_seconds=round(job.gpu_seconds, 3),
            audio_seconds=round(job.decoded_seconds, 3),
            decode_seconds=round(useful + job.wasted_seconds, 3),
            wasted_seconds=round(job.wasted_seconds, 3),
            retries=job.retries,
            queue_seconds=queue_seconds,
            rtfx=rtfx,
        )
