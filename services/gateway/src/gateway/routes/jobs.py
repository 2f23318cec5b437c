"""Routes of jobs: upload, download, provenance and verification."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from common.web import IdentityDep, problems
from gateway.errors import (
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
from gateway.files import downloads, provenance, verification
from gateway.files.downloads import Disposition, Format
from gateway.files.provenance import Provenance
from gateway.relay import surface
from gateway.relay.union import body_of, passed_on
from gateway.uploads import form

from .dependencies import COUNTED_UPLOAD, ResourcesDep
from .openapi import TRANSCRIPT, UPLOAD_FORM, merged, one_or_several, signed_in

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
    summary="Upload one or several recordings for transcription",
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
    """Either all recordings of a form become jobs or none: one is answered as its job, several as {"items": [...]}.

    With an `Idempotency-Key` (kept for a day) a repetition of the same upload gets the first answer again,
    or 410 if one of its jobs was deleted.
    """
    return await form.receive(request, resources.store, resources.upstreams.jobs, resources.uploads)


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
    disposition: Annotated[
        Disposition, Query(description="Save the file, or display it in the browser.")
    ] = "attachment",
) -> Response:
    return await downloads.transcript(
        request, resources.upstreams.jobs, resources.store, job_id=job_id, fmt=format, disposition=disposition
    )


@router.get(
    "/jobs/{job_id}/provenance",
    tags=["jobs"],
    summary="The provenance of the transcript",
    response_class=Response,
    responses=merged(
        {200: {"model": Provenance, "description": "The provenance, as it was stored with the transcript."}},
        REFUSED,
        signed_in(ProvenanceUnknown, TranscriptNotReady, StoreDown),
    ),
)
async def read_provenance(job_id: JobId, request: Request, _: IdentityDep, resources: ResourcesDep) -> Response:
    return await provenance.stored(request, resources.upstreams.jobs, resources.store, job_id=job_id)


@router.post(
    "/jobs/{job_id}/verify",
    tags=["jobs"],
    summary="Decode random chunks again and compare the results",
    status_code=202,
    response_class=Response,
    responses=merged(passed_on(VERIFY), signed_in(ChunkAudioGone, BodyTooLarge, StoreDown)),
    openapi_extra=body_of(VERIFY),
)
async def verify(job_id: JobId, request: Request, _: IdentityDep, resources: ResourcesDep) -> Response:
    """The answer is the verification that was started; poll it until it has ended. It uses the workers."""
    return await verification.begin(request, resources.upstreams.jobs, resources.store, job_id)
