"""The transcript so far, from the ledger, with explicit gaps."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from common.intervals import in_order
from common.text.joining import joined
from jobs.states import State
from jobs.tables import Chunk, Job, PastAttempt


class Segment(BaseModel):
    """A caption-sized piece of text; times in seconds of the recording."""

    type: Literal["segment"] = "segment"
    chunk: int
    start: float
    end: float
    text: str


class Gap(BaseModel):
    """Speech without a transcript so far; end is null while the length of the recording is unknown."""

    type: Literal["gap"] = "gap"
    start: float
    end: float | None


class Transcript(BaseModel):
    """The transcript of a recording so far, in order, with gaps where it is incomplete."""

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
    attempt: int = Field(description="The attempt that produced the text; 0 = no attempt has started.")
    state: State = Field(description="The job's state, or the final state of a past attempt.")
    complete: bool = Field(description="There are no gaps, and none can appear.")
    language: str | None
    task: Literal["transcribe", "translate"]
    duration_seconds: float | None
    text: str = Field(description="The text of all segments; word times are in the downloadable JSON.")
    items: list[Annotated[Segment | Gap, Field(discriminator="type")]]


def of_ledger(job: Job, past: PastAttempt | None, attempt: int, rows: Sequence[Chunk]) -> Transcript:
    """Return the transcript of an attempt; `past` is its row if it is not the current one."""
    planned = job.chunks_planned if past is None else past.chunks_planned
    whole = planned is not None and len(rows) >= planned
    items = list(_items(rows, job.duration_seconds, whole=whole))
    segments = [item for item in items if isinstance(item, Segment)]
    task = (job.options if past is None else past.options)["task"]
    language = next((row.language for row in rows if row.language), job.language)
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


def chunk_segments(row: Chunk) -> list[dict[str, Any]]:
    """A finished chunk's segments {start, end, text}; results of older workers are one segment."""
    if row.segments is not None:
        return row.segments
    if not row.text or row.start_seconds is None or row.end_seconds is None:
        return []
    return [{"start": row.start_seconds, "end": row.end_seconds, "text": row.text}]


def _items(rows: Sequence[Chunk], duration: float | None, *, whole: bool) -> Iterator[Segment | Gap]:
    edge, expected = 0.0, 0  # the end of the last item, and the next chunk
    gap: Gap | None = None
    for row, segments in zip(rows, _segments(rows, duration), strict=True):
        if row.chunk != expected:
            # Results may arrive before the plan's announcements: chunks in between are not known yet.
            begins = segments[0].start if row.start_seconds is None and segments else row.start_seconds
            gap = Gap(start=gap.start if gap else edge, end=begins)
        if row.state != "done":
            begins = edge if row.start_seconds is None else row.start_seconds
            gap = Gap(start=gap.start if gap else begins, end=row.end_seconds)
        elif gap is not None:
            yield gap
            gap = None
        yield from segments
        edge = max(edge, row.end_seconds or 0.0, *(segment.end for segment in segments))
        expected = row.chunk + 1
    if not whole:
        gap = Gap(start=gap.start if gap else edge, end=duration if duration and duration > edge else None)
    if gap is not None:
        yield gap


def _segments(rows: Sequence[Chunk], duration: float | None) -> Iterator[list[Segment]]:
    """Yield the segments of each chunk, with their times in the assembled transcript."""
    spoken = [chunk_segments(row) if row.state == "done" else [] for row in rows]
    times = iter(in_order(((said["start"], said["end"]) for each in spoken for said in each), duration))
    for row, each in zip(rows, spoken, strict=True):
        placed = zip(each, islice(times, len(each)), strict=True)
        yield [Segment(chunk=row.chunk, start=start, end=end, text=said["text"]) for said, (start, end) in placed]
