"""The transcript as far as it is there, from the ledger: what is missing is said, never passed over."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from .states import State
from .tables import Chunk, Job, PastAttempt

_SHORTEST: Final = 0.02  # seconds of a segment whose neighbours leave it no time, as in the assembled transcript
_UNSPACED: Final = frozenset({"zh", "ja", "th", "lo", "my", "km", "bo", "yue"})


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
    items = list(_items(lines, None if whole else job.duration_seconds, whole=whole))
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
        text=_joiner(language, task).join(segment.text for segment in segments),
        items=items,
    )


def chunk_segments(line: Chunk) -> list[dict[str, Any]]:
    """A finished chunk's segments {start, end, text}; those of older workers come as one piece."""
    if line.segments is not None:
        return line.segments
    if not line.text or line.start_seconds is None or line.end_seconds is None:
        return []
    return [{"start": line.start_seconds, "end": line.end_seconds, "text": line.text}]


def _items(lines: Iterable[Chunk], duration: float | None, *, whole: bool) -> Iterator[Segment | Gap]:
    clock = edge = 0.0  # the end of the last segment, and of the last chunk
    expected = 0
    gap: Gap | None = None
    for line in lines:
        segments = chunk_segments(line) if line.state == "done" else []
        if line.chunk != expected:
            # Results may come before the plan's announcements: chunks in between are not known yet.
            begins = segments[0]["start"] if line.start_seconds is None and segments else line.start_seconds
            gap = Gap(start=gap.start if gap else edge, end=begins)
        if line.state != "done":
            begins = edge if line.start_seconds is None else line.start_seconds
            gap = Gap(start=gap.start if gap else begins, end=line.end_seconds)
        elif gap is not None:
            yield gap
            gap = None
        for segment in segments:
            start = round(max(segment["start"], clock), 3)
            clock = round(max(segment["end"], start + _SHORTEST), 3)
            yield Segment(chunk=line.chunk, start=start, end=clock, text=segment["text"])
        edge = max(edge, clock, line.end_seconds or 0.0)
        expected = line.chunk + 1
    if not whole:
        gap = Gap(start=gap.start if gap else edge, end=duration if duration and duration > edge else None)
    if gap is not None:
        yield gap


def _joiner(language: str | None, task: str) -> str:
    return "" if task == "transcribe" and language in _UNSPACED else " "
