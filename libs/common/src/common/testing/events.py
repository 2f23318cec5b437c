"""Builders of events, commands and notices: what a test does not name has a plausible value."""

from typing import Any
from uuid import UUID, uuid4

from common.events import (
    AudioPlanned,
    ChunkPlanned,
    ChunkTranscribed,
    ChunkWork,
    JobCreated,
    JobOptions,
    JobTranscribed,
    MetadataEnriched,
    PlanWork,
    TextSegment,
    TranscriptReady,
    WorkerHeartbeat,
    keys,
)

SHA256 = "ab" * 32


def job_created(job_id: UUID | None = None, **fields: Any) -> JobCreated:
    """Build the event that a job begins with."""
    job_id = job_id or uuid4()
    defaults = {
        "owner_id": uuid4(),
        "file_name": "interview.m4a",
        "source_key": keys.source(job_id),
        "size_bytes": 1,
        "sha256": SHA256,
        "options": JobOptions(),
    }
    return JobCreated(job_id=job_id, **(defaults | fields))


def job_transcribed(job_id: UUID | None = None, *, attempt: int = 1, **fields: Any) -> JobTranscribed:
    """Build the event that asks for enrichment."""
    job_id = job_id or uuid4()
    defaults = {
        "owner_id": uuid4(),
        "transcript_key": keys.transcript(job_id, attempt, "json"),
        "language": "en",
        "duration_seconds": 20.0,
        "speech_seconds": 10.0,
        "segments": 1,
        "words": 14,
    }
    return JobTranscribed(job_id=job_id, attempt=attempt, **(defaults | fields))


def chunk_planned(
    job_id: UUID | None = None, chunk: int = 0, *, attempt: int = 1, seconds: float = 60.0, **fields: Any
) -> ChunkPlanned:
    """Build the event of a chunk whose audio is stored."""
    defaults = {
        "start_seconds": chunk * seconds,
        "end_seconds": (chunk + 1) * seconds,
        "speech_seconds": seconds,
        "windows": 2,
        "language": "en",
    }
    return ChunkPlanned(job_id=job_id or uuid4(), attempt=attempt, chunk=chunk, **(defaults | fields))


def audio_planned(job_id: UUID, chunks: int, *, attempt: int = 1, seconds: float = 60.0, **fields: Any) -> AudioPlanned:
    """Build the event of a complete plan."""
    defaults = {
        "duration_seconds": chunks * seconds + 5,
        "speech_seconds": chunks * seconds,
        "language": "en" if chunks else None,
        "plan_key": keys.plan(job_id, attempt),
        "peaks_key": keys.peaks(job_id, attempt),
    }
    return AudioPlanned(job_id=job_id, attempt=attempt, chunks=chunks, **(defaults | fields))


def chunk_transcribed(
    job_id: UUID, chunk: int, *, attempt: int = 1, seconds: float = 60.0, text: str = "", **fields: Any
) -> ChunkTranscribed:
    """Build the event of a chunk whose result, one segment, is stored."""
    text, start = text or f"text of chunk {chunk}", chunk * seconds
    defaults = {
        "result_key": keys.result(job_id, attempt, chunk),
        "result_sha256": "cd" * 32,
        "text": text,
        "segments": [TextSegment(start=start + 1, end=start + 5, text=text)],
        "audio_seconds": seconds,
        "decode_seconds": 1.5,
        "worker": "w1",
    }
    return ChunkTranscribed(job_id=job_id, attempt=attempt, chunk=chunk, **(defaults | fields))


def transcript_ready(job_id: UUID, *, attempt: int = 1, words: int = 250, **fields: Any) -> TranscriptReady:
    """Build the event of a transcript that is stored in all formats."""
    defaults = {
        "formats": ["json", "srt", "vtt", "txt", "tsv"],
        "transcript_sha256": "ef" * 32,
        "language": "en",
        "duration_seconds": 125.0,
        "speech_seconds": 120.0,
        "segments": 20,
    }
    return TranscriptReady(job_id=job_id, attempt=attempt, words=words, **(defaults | fields))


def metadata_enriched(job_id: UUID, *, attempt: int = 1, **fields: Any) -> MetadataEnriched:
    """Build the event of a finished enrichment."""
    return MetadataEnriched(job_id=job_id, attempt=attempt, **({"metadata_key": keys.metadata(job_id)} | fields))


def plan_work(job_id: UUID | None = None, **fields: Any) -> PlanWork:
    """Build the command that begins an attempt."""
    job_id = job_id or uuid4()
    defaults = {"attempt": 1, "source_key": keys.source(job_id), "size_bytes": 1, "options": JobOptions()}
    return PlanWork(job_id=job_id, **(defaults | fields))


def chunk_work(job_id: UUID | None = None, chunk: int = 0, *, model: str = "base", **fields: Any) -> ChunkWork:
    """Build the command that transcribes a chunk."""
    defaults = {"attempt": 1, "language": "en", "options": JobOptions(model=model)}
    return ChunkWork(job_id=job_id or uuid4(), chunk=chunk, **(defaults | fields))


def worker_heartbeat(worker: str = "w1", **fields: Any) -> WorkerHeartbeat:
    """Build the heartbeat of an idle transcriber."""
    defaults = {"host": "h", "pid": 1, "device": "cpu", "engine": "canned", "models": ["base"], "version": "1"}
    return WorkerHeartbeat(worker=worker, **(defaults | fields))
