"""The transcript as far as it is there, from the ledger: what is missing is said, never passed over."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from common.intervals import in_order
from common.text.joining import joined

from .states import State
from .tables import Chunk, Job, PastAttempt


class Segment(BaseModel):
    """A caption-sized piece of text; times in seconds of the recording."""

    type: Literal["segment"] = "segment"
    chunk: int
    start: float
    end: float
    text: str


class Gap(BaseModel):
    """Speech that is not transcribed (yet); without an end nobody knows yet how long the recording is."""

    type: Literal["gap"] = "gap"
    start: float
    end: float | None


class Transcript(BaseModel):
    """What is transcribed of a recording so far, in its order, with gaps where something is missing."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "job_id": "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10",
                    "attempt": 1,
                    "state": "processing",
                    "complete": False,
                    "language": "en",
                    "task": "transcribe",
                    "duration_seconds": 301.4,
                    "text": "Good morning, everybody.",
                    "items": [
                        {"type": "segment", "chunk": 0, "start": 0.4, "end": 2.1, "text": "Good morning, everybody."},
                        {"type": "gap", "start": 12.5, "end": 301.4},
                    ],
                }
            ]
        }
    )

    job_id: UUID
    attempt: int = Field(description="The attempt whose text this is; 0 = none has begun.")
    state: State = Field(description="The job's state, or how a past attempt ended.")
    complete: bool = Field(description="Nothing is missing: there are no gaps, and none can appear.")
    language: str | None
    task: Literal["transcribe", "translate"]
    duration_seconds: float | None
    text: str = Field(description="The text of all segments; word times are in the downloadable JSON.")
    items: list[Annotated[Segment | Gap, Field(discriminator="type")]]


def of_ledger(job: Job, past: PastAttempt | None, attempt: int, lines: Sequence[Chunk]) -> Transcript:
    """Return the transcript of an attempt; `past` is its record if it is not the current one."""
    planned = job.chunks_planned if past is None else past.chunks_planned
    whole = planned is not None and len(lines) >= planned
    items = list(_items(lines, job.duration_seconds, whole=whole))
    segments = [item for item in items if isinstance(item, Segment)]
    task = (job.options if past is None else past.options)["task"]
    language = next((line.language for line in lines if line.language), job.language)
    return Transcript(
        job_id=job.id,
        attempt=attempt,
        state=State(job.state if past is None else past.state),
        complete=whole and len(segments) == len(items),
        language=language,
        task=task,
        duration_seconds=job.duration_seconds,
        text=joined(segment.text for segment in segments),
        items=items,
    )


def chunk_segments(line: Chunk) -> list[dict[str, Any]]:
    """A finished chunk's segments {start, end, text}; those of older workers come as one piece."""
    if line.segments is not None:
        return line.segments
    if not line.text or line.start_seconds is None or line.end_seconds is None:
        return []
    return [{"start": line.start_seconds, "end": line.end_seconds, "text": line.text}]


def _items(lines: Sequence[Chunk], duration: float | None, *, whole: bool) -> Iterator[Segment | Gap]:
    edge, expected = 0.0, 0  # the end of what has been yielded, and the next chunk
    gap: Gap | None = None
    for line, segments in zip(lines, _segments(lines, duration), strict=True):
        if line.chunk != expected:
            # Results may come before the plan's announcements: chunks in between are not known yet.
            begins = segments[0].start if line.start_seconds is None and segments else line.start_seconds
            gap = Gap(start=gap.start if gap else edge, end=begins)
        if line.state != "done":
            begins = edge if line.start_seconds is None else line.start_seconds
            gap = Gap(start=gap.start if gap else begins, end=line.end_seconds)
        elif gap is not None:
            yield gap
            gap = None
        yield from segments
        edge = max(edge, line.end_seconds or 0.0, *(segment.end for segment in segments))
        expected = line.chunk + 1
    if not whole:
        gap = Gap(start=gap.start if gap else edge, end=duration if duration and duration > edge else None)
    if gap is not None:
        yield gap


def _segments(lines: Sequence[Chunk], duration: float | None) -> Iterator[list[Segment]]:
    """The segments of each chunk, with the times that they have in the assembled transcript."""
    spoken = [chunk_segments(line) if line.state == "done" else [] for line in lines]
    times = iter(in_order(((said["start"], said["end"]) for each in spoken for said in each), duration))
    for line, each in zip(lines, spoken, strict=True):
        placed = zip(each, islice(times, len(each)), strict=True)
        yield [Segment(chunk=line.chunk, start=start, end=end, text=said["text"]) for said, (start, end) in placed]
