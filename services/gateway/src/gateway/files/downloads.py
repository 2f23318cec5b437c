"""Transcripts, streamed from the object store after the jobs service has authorised the request."""

from typing import Any, Literal
from uuid import UUID

from fastapi import Request
from starlette.responses import StreamingResponse

from common.events import keys
from common.storage import ObjectMissing, ObjectStore
from gateway.errors import FormatNotAvailable, TranscriptNotReady
from gateway.relay.upstreams import Upstream

from .names import content_disposition, stem

Format = Literal["txt", "srt", "vtt", "json", "tsv", "docx"]
Disposition = Literal["attachment", "inline"]

CONTENT_TYPES: dict[Format, str] = {
    "txt": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "json": "application/json",
    "tsv": "text/tab-separated-values; charset=utf-8",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}


async def transcript(
    request: Request, jobs: Upstream, store: ObjectStore, *, job_id: UUID, fmt: Format, disposition: Disposition
) -> StreamingResponse:
    """The transcript of a job in one format; raises TranscriptNotReady or FormatNotAvailable.

    The jobs service decides whether the caller may read the job, and answers 404 for another user's job.
    """
    job: dict[str, Any] = await jobs.ask(request, f"/jobs/{job_id}")
    attempt = job["transcript_attempt"]
    if attempt is None:
        raise TranscriptNotReady(f"The job is {job['state']} and has no transcript.", state=job["state"])
    key = keys.transcript(job_id, attempt, fmt)
    try:
        info = await store.stat(key)
    except ObjectMissing as error:
        raise FormatNotAvailable(f"This transcript is not available as {fmt}.", formats=job["formats"]) from error
    name = f"{stem(job['file_name'])}.{fmt}"
    return StreamingResponse(
        store.open(key),
        headers={
            "Content-Type": CONTENT_TYPES[fmt],
            "Content-Length": str(info.size),
            "Content-Disposition": content_disposition(disposition, name),
            "Cache-Control": "private, no-cache",
        },
    )
