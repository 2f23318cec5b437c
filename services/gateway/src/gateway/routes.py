"""The public HTTP and WebSocket interface."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response, WebSocket

from common.web import IdentityDep
from common.web.addresses import address_group, client_address

from . import downloads, health, uploads
from .downloads import Disposition, Format
from .errors import (
    BadUpload,
    FormatNotAvailable,
    InvalidForm,
    ServiceUnavailable,
    TooManyLogins,
    TranscriptNotReady,
    UploadTooLarge,
)
from .health import Health
from .openapi import (
    LOGIN_FORM,
    TRANSCRIPT,
    UPLOAD_FORM,
    InvalidCredentials,
    JobNotFound,
    MetadataNotFound,
    ModelNotAvailable,
    TooManyAttempts,
    problems,
    signed_in,
)
from .resources import ResourcesDep, SocketResourcesDep
from .schemas import Job, JobPage, Me, Metadata, Token

router = APIRouter()

JobId = Annotated[UUID, Path(description="The job's id.", examples=["4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10"])]
State = Literal["queued", "processing", "enriching", "completed", "failed", "cancelled"]


@router.post(
    "/token",
    tags=["auth"],
    summary="Log in with user name and password",
    response_model=Token,
    responses=problems(InvalidCredentials, TooManyLogins, TooManyAttempts, ServiceUnavailable),
    openapi_extra=LOGIN_FORM,
)
async def token(request: Request, resources: ResourcesDep) -> Response:
    resources.logins.take(address_group(client_address(request)))
    return await resources.upstreams.auth.relay(request, "/token")


@router.get("/me", tags=["auth"], summary="Who am I?", response_model=Me, responses=signed_in())
async def me(request: Request, _: IdentityDep, resources: ResourcesDep) -> Response:
    return await resources.upstreams.auth.relay(request, "/me")


@router.post(
    "/jobs",
    tags=["jobs"],
    summary="Upload a recording and have it transcribed",
    status_code=201,
    response_model=Job,
    responses=signed_in(BadUpload, UploadTooLarge, InvalidForm, ModelNotAvailable),
    openapi_extra=UPLOAD_FORM,
)
async def create_job(request: Request, _: IdentityDep, resources: ResourcesDep) -> Response:
    return await uploads.receive(request, resources.store, resources.upstreams.jobs, resources.uploads)


@router.get("/jobs", tags=["jobs"], summary="My jobs, newest first", response_model=JobPage, responses=signed_in())
async def list_jobs(
    request: Request,
    _: IdentityDep,
    resources: ResourcesDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=500, description="next_cursor of the page before.")] = None,
    state: State | None = None,
) -> Response:
    wanted = {"limit": str(limit), "cursor": cursor, "state": state}
    params = [(name, value) for name, value in wanted.items() if value is not None]
    return await resources.upstreams.jobs.relay(request, "/jobs", params=params)


@router.get("/jobs/{job_id}", tags=["jobs"], summary="A job", response_model=Job, responses=signed_in(JobNotFound))
async def get_job(job_id: JobId, request: Request, _: IdentityDep, resources: ResourcesDep) -> Response:
    return await resources.upstreams.jobs.relay(request, f"/jobs/{job_id}")


@router.delete(
    "/jobs/{job_id}",
    tags=["jobs"],
    summary="Delete a job, its recording and its transcript; a running one is stopped",
    status_code=204,
    responses=signed_in(JobNotFound),
)
async def delete_job(job_id: JobId, request: Request, _: IdentityDep, resources: ResourcesDep) -> Response:
    return await resources.upstreams.jobs.relay(request, f"/jobs/{job_id}")


@router.get(
    "/jobs/{job_id}/download",
    tags=["jobs"],
    summary="The transcript as a file",
    response_class=Response,
    responses=TRANSCRIPT | signed_in(JobNotFound, FormatNotAvailable, TranscriptNotReady),
)
async def download(
    job_id: JobId,
    request: Request,
    _: IdentityDep,
    resources: ResourcesDep,
    format: Annotated[Format, Query(description="txt, srt, vtt, json or tsv.")] = "txt",  # noqa: A002 (public name)
    disposition: Annotated[Disposition, Query(description="Save it, or show it in the browser.")] = "attachment",
) -> Response:
    return await downloads.transcript(
        request, resources.upstreams.jobs, resources.store, job_id=job_id, fmt=format, disposition=disposition
    )


@router.get(
    "/metadata/{job_id}",
    tags=["metadata"],
    summary="What enrichment found out about a transcript",
    response_model=Metadata,
    responses=signed_in(MetadataNotFound),
)
async def get_metadata(job_id: JobId, request: Request, _: IdentityDep, resources: ResourcesDep) -> Response:
    return await resources.upstreams.metadata.relay(request, f"/metadata/{job_id}")


@router.get(
    "/health",
    tags=["health"],
    summary="The state of the whole platform",
    responses={503: {"model": Health, "description": "An essential part is down."}},
)
async def platform_health(request: Request, response: Response, resources: ResourcesDep) -> Health:
    patience = resources.settings.api_health_timeout
    overall = await health.overall(request, resources.health_checks, patience, resources.version)
    return health.respond(overall, response)


@router.websocket("/ws/logs/{job_id}")
async def logs(socket: WebSocket, job_id: UUID, resources: SocketResourcesDep) -> None:
    await resources.logs.serve(socket, job_id)
