"""The provenance of a transcript, as the transcriber stored it with the transcript."""

from typing import Any
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from common.events import JobOptions, keys
from common.storage import ObjectMissing, ObjectStore
from gateway.errors import ProvenanceUnknown, TranscriptNotReady
from gateway.relay.upstreams import Upstream

_HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_EXAMPLE: dict[str, Any] = {
    "version": 1,
    "job_id": "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10",
    "attempt": 1,
    "transcript_sha256": _HASH,
    "source_sha256": _HASH,
    "source": {"container": "flac", "codec": "flac", "sample_rate": 16_000, "channels": 1, "track": 1},
    "decoder": {"pyav": "15.1.0", "libavcodec": "61.19.101"},
    "speech_detector": _HASH,
    "plan_sha256": _HASH,
    "options": {"model": "base", "task": "transcribe"},
    "chunks": [
        {
            "chunk": 0,
            "attempt": 1,
            "worker": "transcriber-1",
            "deliveries": 1,
            "result_sha256": _HASH,
            "engine": {"name": "ctranslate2", "version": "4.8.5", "model": "base", "model_digest": _HASH},
        }
    ],
}


class ChunkProvenance(BaseModel):
    """Provenance of a chunk's result."""

    chunk: int
    attempt: int = Field(description="The attempt that decoded it; an earlier one if the result was reused.")
    worker: str | None
    deliveries: int | None = Field(description="Number of deliveries of its work message.")
    result_sha256: str
    engine: dict[str, str] = Field(description="Engine and version, model and digest, compute type, device.")


class Provenance(BaseModel):
    """Provenance of a transcript. Hashes are of the stored bytes; null = unknown."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    version: int
    job_id: UUID
    attempt: int
    transcript_sha256: str = Field(description="Of the JSON format.")
    source_sha256: str | None
    source: dict[str, Any] | None = Field(description="Properties of the recording's file.")
    decoder: dict[str, str] | None = Field(description="Versions of the decoding libraries.")
    speech_detector: str | None = Field(description="Digest of the voice activity model.")
    plan_sha256: str
    options: JobOptions
    chunks: list[ChunkProvenance]


async def stored(request: Request, jobs: Upstream, store: ObjectStore, *, job_id: UUID) -> StreamingResponse:
    """The provenance of the job's transcript; raises TranscriptNotReady or ProvenanceUnknown."""
    job: dict[str, Any] = await jobs.ask(request, f"/jobs/{job_id}")
    attempt = job["transcript_attempt"]
    if attempt is None:
        raise TranscriptNotReady(f"The job is {job['state']} and has no transcript.", state=job["state"])
    key = keys.provenance(job_id, attempt)
    try:
        info = await store.stat(key)
    except ObjectMissing as error:
        raise ProvenanceUnknown("The transcript was made before provenance was recorded.") from error
    headers = {"Content-Length": str(info.size), "Cache-Control": "private, no-cache"}
    return StreamingResponse(store.open(key), headers=headers, media_type="application/json")
