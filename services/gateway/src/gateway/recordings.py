"""Files of a job, for its owner: the recording, the transcript's formats and its metadata, each readable in pieces."""

from typing import Any
from uuid import UUID

from fastapi import Request, Response

from common.storage import ObjectMissing, ObjectStore, keys

from .downloads import CONTENT_TYPES, Disposition
from .errors import FileNotFound, TranscriptNotReady
from .file_names import content_disposition, stem
from .ranges import ranged
from .upstreams import Upstream

SOURCE = "source"
METADATA = "metadata.json"
_OCTETS = "application/octet-stream"


async def audio(request: Request, jobs: Upstream, store: ObjectStore, job_id: UUID) -> Response:
    """The recording as it was uploaded, to be played; raises FileNotFound when it is gone already."""
    job: dict[str, Any] = await jobs.ask(request, f"/jobs/{job_id}")
    kind = _playable(job["content_type"])
    # What is not sound or film is never shown in the page, whatever its sender called it.
    shown: Disposition = "inline" if kind != _OCTETS else "attachment"
    headers = {"Content-Type": kind, "Content-Disposition": content_disposition(shown, job["file_name"])}
    return await _of_store(request, store, keys.source(job_id), headers)


async def uploaded(request: Request, jobs: Upstream, store: ObjectStore, job_id: UUID, name: str) -> Response:
    """The recording under the name `source` or its own; raises FileNotFound for any other name."""
    job: dict[str, Any] = await jobs.ask(request, f"/jobs/{job_id}")
    if name not in (SOURCE, job["file_name"]):
        raise FileNotFound("This job has no such upload.", names=[SOURCE, job["file_name"]])
    headers = {
        "Content-Type": _playable(job["content_type"]),
        "Content-Disposition": content_disposition("attachment", job["file_name"]),
    }
    return await _of_store(request, store, keys.source(job_id), headers)


async def transcribed(request: Request, jobs: Upstream, store: ObjectStore, job_id: UUID, name: str) -> Response:
    """`transcript.<format>`, or the recording's name with that ending, or `metadata.json`; raises FileNotFound."""
    job: dict[str, Any] = await jobs.ask(request, f"/jobs/{job_id}")
    front, _, ending = name.rpartition(".")
    if name == METADATA:
        key, kind = keys.metadata(job_id), "application/json"
    elif front in ("transcript", stem(job["file_name"])) and ending in job["formats"]:
        attempt = job["transcript_attempt"]
        if attempt is None:
            raise TranscriptNotReady(f"The job is {job['state']} and has no transcript.", state=job["state"])
        key = keys.transcript(job_id, attempt, ending)
        kind = {str(fmt): kind for fmt, kind in CONTENT_TYPES.items()}.get(ending, _OCTETS)
    else:
        names = [METADATA, *(f"transcript.{fmt}" for fmt in job["formats"])]
        raise FileNotFound("This job has no such transcript.", names=names)
    shown = f"{stem(job['file_name'])}.{ending}"
    return await _of_store(
        request, store, key, {"Content-Type": kind, "Content-Disposition": content_disposition("inline", shown)}
    )


async def _of_store(request: Request, store: ObjectStore, key: str, headers: dict[str, str]) -> Response:
    try:
        info = await store.stat(key)
    except ObjectMissing as error:
        raise FileNotFound("The file is gone.") from error
    etag = f'"{info.etag.strip(chr(34))}"'
    return ranged(
        request,
        size=info.size,
        etag=etag,
        headers=headers,
        opener=lambda start, length: store.open(key, start, length),
    )


def _playable(declared: str) -> str:
    return declared if declared.startswith(("audio/", "video/")) else _OCTETS
