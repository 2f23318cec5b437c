"""Routes of files, with byte ranges."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from common.web import IdentityDep
from common.web.answers import Responses
from gateway.errors import FileNotFound, StoreDown, TranscriptNotReady
from gateway.files import recordings
from gateway.files.ranges import RangeNotSatisfiable
from gateway.files.static_files import static_file

from .dependencies import ResourcesDep
from .jobs import REFUSED, JobId
from .openapi import merged, signed_in

router = APIRouter(tags=["files"])

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_HEADERS = {
    name: {"schema": {"type": "string"}} for name in ("Accept-Ranges", "ETag", "Content-Length", "Content-Disposition")
}
FILE: Responses = {
    200: {"description": "The whole file.", "headers": _HEADERS, "content": {"*/*": _BYTES}},
    206: {
        "description": "The requested range.",
        "headers": _HEADERS | {"Content-Range": {"schema": {"type": "string"}}},
        "content": {"*/*": _BYTES},
    },
    304: {"description": "Unchanged (`If-None-Match`)."},
}
RANGE = {
    "parameters": [
        {
            "name": "Range",
            "in": "header",
            "required": False,
            "description": "One byte range; several are answered with the whole file.",
            "schema": {"type": "string"},
            "example": "bytes=0-1048575",
        }
    ]
}
Name = Annotated[str, Path(max_length=400, description="The file's name.", examples=["transcript.srt"])]


def _file(path: str, summary: str, *further: Responses) -> Callable[[Any], Any]:
    """A route that answers GET, and HEAD with the same headers."""
    responses = merged(FILE, *further, signed_in(FileNotFound, RangeNotSatisfiable, StoreDown))

    def register(endpoint: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
        name = getattr(endpoint, "__name__", "file")
        for method, operation in (("GET", name), ("HEAD", f"{name}_head")):
            router.add_api_route(
                path,
                endpoint,
                methods=[method],
                name=operation,
                summary=summary if method == "GET" else f"{summary}: its headers",
                response_class=Response,
                responses=responses,
                openapi_extra=RANGE,
            )
        return endpoint

    return register


@_file("/jobs/{job_id}/audio", "The recording, for playback", REFUSED)
async def audio(job_id: JobId, request: Request, _: IdentityDep, resources: ResourcesDep) -> Response:
    return await recordings.audio(request, resources.upstreams.jobs, resources.store, job_id)


@_file("/uploads/{job_id}/{name}", "The uploaded recording: `source`, or its file name", REFUSED)
async def uploaded_file(
    job_id: JobId, name: Name, request: Request, _: IdentityDep, resources: ResourcesDep
) -> Response:
    return await recordings.uploaded(request, resources.upstreams.jobs, resources.store, job_id, name)


@_file(
    "/transcripts/{job_id}/{name}",
    "A file of the transcript: `transcript.srt` and other formats, or `metadata.json`",
    merged(REFUSED, signed_in(TranscriptNotReady)),
)
async def transcript_file(
    job_id: JobId, name: Name, request: Request, _: IdentityDep, resources: ResourcesDep
) -> Response:
    return await recordings.transcribed(request, resources.upstreams.jobs, resources.store, job_id, name)


@_file("/static/{path:path}", "A file of the web page")
async def static_page_file(
    path: Annotated[
        str, Path(max_length=1000, description="The file's path in the web page's folder.", examples=["index.html"])
    ],
    request: Request,
    _: IdentityDep,
    resources: ResourcesDep,
) -> Response:
    return await static_file(request, resources.page, path)
