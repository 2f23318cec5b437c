"""The public HTTP and WebSocket interface."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response, WebSocket

from common import metrics
from common.web import AdminDep, IdentityDep, problems

from . import downloads, health, provenance, surface, uploads, verification
from .downloads import Disposition, Format
from .errors import (
    BadUpload,
    BodyTooLarge,
    ChunkAudioGone,
    FormatNotAvailable,
    IdempotencyKeyInFlight,
    IdempotencyKeyReused,
    InvalidForm,
    JobDeleted,
    ProvenanceUnknown,
    StoreDown,
    TooManyUploads,
    TranscriptNotReady,
    UploadTooLarge,
)
from .health import Health
from .openapi import TRANSCRIPT, UPLOAD_FORM, merged, one_or_several, signed_in
from .provenance import Provenance
from .resources import COUNTED_UPLOAD, ResourcesDep, SocketResourcesDep
from .union import body_of, passed_on

router = APIRouter()

DOCUMENTS = surface.stored()
CREATED = one_or_several(passed_on(surface.operation(DOCUMENTS, "jobs", "POST", "/jobs")))
REFUSED = passed_on(surface.operation(DOCUMENTS, "jobs", "GET", "/jobs/{job_id}"), only_problems=True)
REFUSED_UPLOAD = passed_on(surface.operation(DOCUMENTS, "jobs", "POST", "/jobs"), only_problems=True)

VERIFY = surface.operation(DOCUMENTS, "jobs", "POST", "/jobs/{job_id}/verify")

JobId = Annotated[UUID, Path(description="The job's id.", examples=["4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10"])]


@router.post(
    "/jobs",
    tags=["jobs"],
    summary="Upload one or several recordings and have them transcribed",
    status_code=201,
    response_class=Response,
    responses=merged(
        CREATED,
        signed_in(
            *(BadUpload, UploadTooLarge, InvalidForm, StoreDown),
            *(IdempotencyKeyReused, IdempotencyKeyInFlight, JobDeleted),
        ),
        problems(TooManyUploads),
    ),
    openapi_extra=UPLOAD_FORM,
    dependencies=[COUNTED_UPLOAD],
)
async def create_job(request: Request, _: IdentityDep, resources: ResourcesDep) -> Response:
    """All recordings of a form become jobs, or none does: one is answered as its job, several as {"items": [...]}.

    With an `Idempotency-Key` (kept for a day) a repetition of the same upload gets the first answer again,
    or 410 when a job of it was deleted since.
    """
    return await uploads.receive(request, resources.store, resources.upstreams.jobs, resources.uploads)


@router.get(
    "/jobs/{job_id}/download",
    tags=["jobs"],
    summary="The transcript as a file",
    response_class=Response,
    responses=merged(TRANSCRIPT, REFUSED, signed_in(FormatNotAvailable, TranscriptNotReady, StoreDown)),
)
async def download(
    job_id: JobId,
    request: Request,
    _: IdentityDep,
    resources: ResourcesDep,
    format: Annotated[Format, Query(description="txt, srt, vtt, json, tsv or docx.")] = "txt",  # noqa: A002 (public name)
    disposition: Annotated[Disposition, Query(description="Save it, or show it in the browser.")] = "attachment",
) -> Response:
    return await downloads.transcript(
        request, resources.upstreams.jobs, resources.store, job_id=job_id, fmt=format, disposition=disposition
    )


@router.get(
    "/jobs/{job_id}/provenance",
    tags=["jobs"],
    summary="What the transcript was made of, by what and by whom",
    response_class=Response,
    responses=merged(
        {200: {"model": Provenance, "description": "The record, as it was written with the transcript."}},
        REFUSED,
        signed_in(ProvenanceUnknown, TranscriptNotReady, StoreDown),
    ),
)
async def read_provenance(job_id: JobId, request: Request, _: IdentityDep, resources: ResourcesDep) -> Response:
    return await provenance.stored(request, resources.upstreams.jobs, resources.store, job_id=job_id)


@router.post(
    "/jobs/{job_id}/verify",
    tags=["jobs"],
    summary="Decode random chunks once more and compare",
    status_code=202,
    response_class=Response,
    responses=merged(passed_on(VERIFY), signed_in(ChunkAudioGone, BodyTooLarge, StoreDown)),
    openapi_extra=body_of(VERIFY),
)
async def verify(job_id: JobId, request: Request, _: IdentityDep, resources: ResourcesDep) -> Response:
    """Real work for the workers: the answer is the verification as it begins, to be read again until it has ended."""
    return await verification.begin(request, resources.upstreams.jobs, resources.store, job_id)


@router.get(
    "/health",
    tags=["health"],
    summary="The state of the whole platform",
    responses={503: {"model": Health, "description": "An essential part is down."}},
)
async def platform_health(request: Request, response: Response, resources: ResourcesDep) -> Health:
    return health.respond(await resources.health.now(request), response)


@router.get(
    "/metrics",
    tags=["health"],
    summary="What this gateway counts, as Prometheus reads it",
    response_class=Response,
    responses={
        200: {
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "verbatim_gateway_log_viewers 3.0\n"}}
        }
    },
)
async def own_metrics(_: AdminDep) -> Response:
    counted, media_type = metrics.exposition()
    return Response(counted, media_type=media_type)


After = Annotated[int, Query(ge=0, lt=2**63, description="The cursor of the last message that is known already.")]


@router.websocket("/ws/logs/system")
async def system_log(socket: WebSocket, resources: SocketResourcesDep, after: After = 0) -> None:
    await resources.logs.of_system(socket, after)


@router.websocket("/ws/logs/{job_id}")
async def job_log(socket: WebSocket, job_id: UUID, resources: SocketResourcesDep, after: After = 0) -> None:
    await resources.logs.of_job(socket, job_id, after)
