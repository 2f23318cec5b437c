"""The files of a job: recording, transcript formats and metadata, with byte ranges."""

from typing import Any, Final
from uuid import UUID

from fastapi import Request, Response

from common.events import keys
from common.storage import ObjectMissing, ObjectStore
from gateway.errors import FileNotFound, TranscriptNotReady
from gateway.relay.upstreams import Upstream

from .downloads import CONTENT_TYPES, Disposition
from .names import content_disposition, stem
from .ranges import ranged

SOURCE = "source"
METADATA = "metadata.json"
_OCTETS = "application/octet-stream"

# By the container that the transcriber detected: the media type of audio only, and with video. None of them can be a
# document or a script, whatever the client declared. Other containers are sent as bytes.
_MEDIA: Final = {
    "3gp": ("audio/3gpp", "video/3gpp"),
    "aac": ("audio/aac", "audio/aac"),
    "ac3": ("audio/ac3", "audio/ac3"),
    "aiff": ("audio/aiff", "audio/aiff"),
    "amr": ("audio/amr", "audio/amr"),
    "asf": ("audio/x-ms-wma", "video/x-ms-wmv"),
    "au": ("audio/basic", "audio/basic"),
    "avi": ("video/x-msvideo", "video/x-msvideo"),
    "caf": ("audio/x-caf", "audio/x-caf"),
    "flac": ("audio/flac", "audio/flac"),
    "flv": ("video/x-flv", "video/x-flv"),
    "matroska": ("audio/x-matroska", "video/x-matroska"),
    "mov": ("audio/mp4", "video/quicktime"),
    "mp3": ("audio/mpeg", "audio/mpeg"),
    "mp4": ("audio/mp4", "video/mp4"),
    "mpeg": ("audio/mpeg", "video/mpeg"),
    "mpegts": ("video/mp2t", "video/mp2t"),
    "ogg": ("audio/ogg", "video/ogg"),
    "w64": ("audio/x-w64", "audio/x-w64"),
    "wav": ("audio/wav", "audio/wav"),
    "webm": ("audio/webm", "video/webm"),
}


async def audio(request: Request, jobs: Upstream, store: ObjectStore, job_id: UUID) -> Response:
    """The uploaded recording, for playback; raises FileNotFound if it was deleted."""
    job: dict[str, Any] = await jobs.ask(request, f"/jobs/{job_id}")
    kind = _media_type(job)
    shown: Disposition = "inline" if kind != _OCTETS else "attachment"
    headers = {"Content-Type": kind, "Content-Disposition": content_disposition(shown, job["file_name"])}
    return await _of_store(request, store, keys.source(job_id), headers)


async def uploaded(request: Request, jobs: Upstream, store: ObjectStore, job_id: UUID, name: str) -> Response:
    """The recording under the name `source` or its file name; raises FileNotFound for any other name."""
    job: dict[str, Any] = await jobs.ask(request, f"/jobs/{job_id}")
    if name not in (SOURCE, job["file_name"]):
        raise FileNotFound("This job has no upload of this name.", names=[SOURCE, job["file_name"]])
    headers = {
        "Content-Type": _media_type(job),
        "Content-Disposition": content_disposition("attachment", job["file_name"]),
    }
    return await _of_store(request, store, keys.source(job_id), headers)


async def transcribed(request: Request, jobs: Upstream, store: ObjectStore, job_id: UUID, name: str) -> Response:
    """`transcript.<format>`, the recording's name with that extension, or `metadata.json`; raises FileNotFound."""
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
        raise FileNotFound("This job has no transcript file of this name.", names=names)
    shown = f"{stem(job['file_name'])}.{ending}"
    return await _of_store(
        request, store, key, {"Content-Type": kind, "Content-Disposition": content_disposition("inline", shown)}
    )


async def _of_store(request: Request, store: ObjectStore, key: str, headers: dict[str, str]) -> Response:
    try:
        info = await store.stat(key)
    except ObjectMissing as error:
        raise FileNotFound("The file was deleted.") from error
    etag = f'"{info.etag.strip(chr(34))}"'
    return ranged(
        request,
        size=info.size,
        etag=etag,
        headers=headers,
        opener=lambda start, length: store.open(key, start, length),
    )


def _media_type(job: dict[str, Any]) -> str:
    """The media type of the decoded source; the type that the client declared is ignored."""
    source: dict[str, Any] = job.get("source") or {}
    audio_type, video_type = _MEDIA.get(source.get("container", ""), (_OCTETS, _OCTETS))
    return video_type if source.get("video") else audio_type
