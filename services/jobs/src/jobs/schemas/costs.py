"""What a job has cost, all attempts together: the truth about resources, measured where they were spent."""

from pydantic import BaseModel, Field

from common.events import ChunkTranscribed

from .tables import Job, PastAttempt


class Costs(BaseModel):
    """What was spent on a job so far, in seconds unless said otherwise."""

    cpu_seconds: float = Field(description="Of processors: decoding the recording, finding speech, transcribing.")
    gpu_seconds: float = Field(description="For which a GPU worked for this job alone.")
    audio_seconds: float = Field(description="Of audio that went through the model; reused results count once.")
    decode_seconds: float = Field(description="That workers were busy with its chunks, by the clock.")
    wasted_seconds: float = Field(
        description="Of those, and of tries that failed in a worker that lives on, that no transcript came of: results"
        " that came too late or twice. What a killed worker was doing counts as a retry."
    )
    retries: int = Field(description="How often a chunk's work was delivered or sent again.")
    queue_seconds: float | None = Field(description="That the current attempt waited for a slot; null = it waits.")
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


def of_result(job: Job, event: ChunkTranscribed, repeated: int) -> dict[str, float]:
    """Return the columns of a job after a result that is used; `repeated` is how often its work was sent again."""
    return {
        "cpu_seconds": job.cpu_seconds + event.cpu_seconds,
        "gpu_seconds": job.gpu_seconds + event.gpu_seconds,
        "decoded_seconds": job.decoded_seconds + (event.audio_seconds if event.decode_seconds else 0.0),
        "wasted_seconds": job.wasted_seconds + event.wasted_seconds,
        "retries": job.retries + max(0, event.deliveries - 1) + repeated,
    }


def of_wasted_result(event: ChunkTranscribed) -> dict[str, float]:
    """Return what a result adds to a job that has no use for it."""
    return {
        "cpu_seconds": event.cpu_seconds,
        "gpu_seconds": event.gpu_seconds,
        "wasted_seconds": event.decode_seconds + event.wasted_seconds,
    }
