"""Start of a verification: the gateway checks that the job's chunks are still stored."""

from typing import Any
from uuid import UUID

from fastapi import Request, Response

from common.events import keys
from common.storage import ObjectMissing, ObjectStore
from gateway.edge.credentials import confirm_access
from gateway.errors import ChunkAudioGone
from gateway.relay.upstreams import Upstream, relayed


async def begin(request: Request, jobs: Upstream, store: ObjectStore, job_id: UUID) -> Response:
    """Forward the request to the jobs service, unless the chunk audio was deleted; raises ChunkAudioGone."""
    job: dict[str, Any] = await jobs.ask(request, f"/jobs/{job_id}")
    attempt = job["transcript_attempt"]
    if job["state"] == "completed" and attempt is not None and job["chunks_total"]:
        try:
            await store.stat(keys.chunk_audio(job_id, attempt, 0))
        except ObjectMissing as error:
            raise ChunkAudioGone(
                "The chunks of this job were deleted after its completion; restart the job instead."
            ) from error
    await confirm_access(request)
    return relayed(await jobs.send(request, "POST", f"/jobs/{job_id}/verify", content=await request.body()))
