"""Routes of resumable uploads (tus 1.0.0)."""

from email.utils import format_datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Path, Request, Response

from common.web import IdentityDep
from gateway.errors import BadUpload, InvalidForm, StoreDown, TooManyUploads, UploadTooLarge
from gateway.uploads.resumable.errors import (
    BadUploadHeader,
    ChecksumMismatch,
    ExtensionNotSupported,
    NotUploadBytes,
    OffsetMismatch,
    UploadBusy,
    UploadGone,
    UploadNotFound,
    VersionNotSupported,
)
from gateway.uploads.resumable.protocol import (
    ALGORITHMS,
    EXTENSIONS,
    PATH,
    PIECE,
    VERSION,
    checksum_of,
    require_supported,
)
from gateway.uploads.resumable.records import Record
from gateway.uploads.resumable.transfer import Checksum

from .dependencies import COUNTED_UPLOAD, ResourcesDep
from .jobs import REFUSED_UPLOAD
from .openapi import merged, signed_in

router = APIRouter(tags=["uploads"])

UploadId = Annotated[
    UUID,
    Path(description="The id of the upload and of its job.", examples=["4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10"]),
]
Tus = Annotated[str | None, Header(alias="Tus-Resumable", description=f"`{VERSION}`")]
Length = Annotated[str | None, Header(alias="Upload-Length", description="Size of the recording in bytes.")]
Offset = Annotated[str | None, Header(alias="Upload-Offset", description="Number of bytes that are stored.")]
Metadata = Annotated[
    str,
    Header(
        alias="Upload-Metadata",
        max_length=16_384,
        description="`filename`, `filetype` and the fields of POST /jobs, each value in base64. Names that tus"
        " clients add (such as `relativePath` and `lastModified`) are ignored; other names are refused.",
    ),
]
Sum = Annotated[
    str | None,
    Header(alias="Upload-Checksum", description=f"One of {', '.join(ALGORITHMS)}, and the digest in base64."),
]
_PIECE_BODY = {
    "requestBody": {"required": True, "content": {PIECE: {"schema": {"type": "string", "format": "binary"}}}}
}
_KNOWN = merged(signed_in(UploadNotFound, UploadGone, VersionNotSupported, UploadBusy, StoreDown))
_ENDED = merged(
    REFUSED_UPLOAD,
    signed_in(BadUploadHeader, BadUpload, UploadTooLarge, InvalidForm, ChecksumMismatch, ExtensionNotSupported),
)


@router.options(PATH, include_in_schema=False)
@router.options(PATH + "/{upload_id}", include_in_schema=False)
async def upload_abilities(resources: ResourcesDep) -> Response:
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(resources.resumable.max_bytes),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }
    return Response(status_code=204, headers=headers)


@router.post(
    PATH,
    summary="Create a resumable upload (tus)",
    status_code=201,
    response_class=Response,
    responses=merged(
        {201: {"description": "Created; `Location` is its address."}},
        _ENDED,
        signed_in(VersionNotSupported, NotUploadBytes, UploadBusy, StoreDown, TooManyUploads),
    ),
    dependencies=[COUNTED_UPLOAD],
)
async def create_upload(
    *,
    request: Request,
    identity: IdentityDep,
    resources: ResourcesDep,
    tus: Tus = None,
    length: Length = None,
    metadata: Metadata = "",
    checksum: Sum = None,
) -> Response:
    """A body of the type `application/offset+octet-stream` may contain the first bytes."""
    _require_version(tus)
    require_supported(request.headers)
    size = _number(length, "Upload-Length")
    first = _checksum(checksum)
    record = await resources.resumable.create(request, identity.user_id, length=size, metadata=metadata)
    if size == 0 or request.headers.get("content-type") == PIECE:
        record = await resources.resumable.append(request, record, offset=0, checksum=first)
    return Response(status_code=201, headers=_state(record) | {"Location": f"{PATH}/{record.job_id}"})


@router.head(
    PATH + "/{upload_id}",
    summary="Read the offset of a resumable upload",
    response_class=Response,
    responses=merged({200: {"description": "`Upload-Offset` is the number of stored bytes."}}, _KNOWN, _ENDED),
)
async def read_upload(
    upload_id: UploadId, request: Request, identity: IdentityDep, resources: ResourcesDep, tus: Tus = None
) -> Response:
    record = await resources.resumable.find(upload_id, identity)
    _require_version(tus)
    record = await resources.resumable.look(request, record)
    headers = {"Upload-Length": str(record.length), "Cache-Control": "no-store"}
    if record.metadata:
        headers["Upload-Metadata"] = record.metadata
    return Response(status_code=200, headers=_state(record) | headers)


@router.patch(
    PATH + "/{upload_id}",
    summary="Append bytes to a resumable upload",
    status_code=204,
    response_class=Response,
    responses=merged(
        {204: {"description": "Stored; after the last bytes `X-Verbatim-Job` names the job."}},
        _KNOWN,
        _ENDED,
        signed_in(OffsetMismatch, NotUploadBytes, TooManyUploads),
    ),
    openapi_extra=_PIECE_BODY,
    dependencies=[COUNTED_UPLOAD],
)
async def append_to_upload(
    *,
    upload_id: UploadId,
    request: Request,
    identity: IdentityDep,
    resources: ResourcesDep,
    tus: Tus = None,
    offset: Offset = None,
    checksum: Sum = None,
) -> Response:
    record = await resources.resumable.find(upload_id, identity)
    _require_version(tus)
    require_supported(request.headers)
    if request.headers.get("content-type") != PIECE:
        raise NotUploadBytes(f"Send the bytes as {PIECE}.")
    position = _number(offset, "Upload-Offset")
    record = await resources.resumable.append(request, record, offset=position, checksum=_checksum(checksum))
    return Response(status_code=204, headers=_state(record))


@router.delete(
    PATH + "/{upload_id}",
    summary="Delete a resumable upload; its job is kept",
    status_code=204,
    response_class=Response,
    responses=_KNOWN,
)
async def remove_upload(
    upload_id: UploadId, request: Request, identity: IdentityDep, resources: ResourcesDep, tus: Tus = None
) -> Response:
    record = await resources.resumable.find(upload_id, identity)
    _require_version(tus)
    await resources.resumable.remove(request, record)
    return Response(status_code=204)


def _state(record: Record) -> dict[str, str]:
    headers = {
        "Upload-Offset": str(record.offset),
        "Upload-Expires": format_datetime(record.expires_at, usegmt=True),
    }
    return headers | ({"X-Verbatim-Job": f"/jobs/{record.job_id}"} if record.accepted else {})


def _require_version(version: str | None) -> None:
    if version != VERSION:
        raise VersionNotSupported(f"Send the header Tus-Resumable with {VERSION}.")


def _number(value: str | None, name: str) -> int:
    if value is None or not (value.isascii() and value.isdecimal() and len(value) < 19):
        raise BadUploadHeader(f"{name} must be a number of bytes.")
    return int(value)


def _checksum(header: str | None) -> Checksum | None:
    try:
        return None if header is None else Checksum(*checksum_of(header))
    except ValueError as error:
        raise BadUploadHeader(f"Upload-Checksum cannot be used: {error}.") from error
