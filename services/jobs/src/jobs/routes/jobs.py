"""HTTP in."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response, status
from fastapi.responses import StreamingResponse

from common.web import IdentityDep, SessionDep, problems
from common.web.addresses import from_gateway
from common.web.answers import Responses
from common.web.cursors import InvalidCursor
from common.web.errors import QuotaExceeded
from common.web.identity import Identity, limited_identity

from .errors import (
    AccountGone,
    AttemptNotFound,
    ForeignSource,
    IdempotencyKeyInFlight,
    JobActive,
    JobDeleted,
    JobIdTaken,
    JobNotCompleted,
    JobNotFound,
    JobOver,
    LanguageNotKnown,
    ModelNotAvailable,
    TooManyWatchers,
    VerificationNotFound,
    VerificationRunning,
)
from .examples import EVENT_STREAM_EXAMPLE, ONE_EVENT
from .listing import ListQuery
from .schemas import (
    Admission,
    Claim,
    CreatedJobs,
    JobDetail,
    JobId,
    JobPage,
    JobView,
    NewJob,
    NewJobs,
    NewUpload,
    Reservation,
    Restart,
    Usage,
)
from .service import JobCatalogue, JobControl, JobCreation, Quotas, Verifying
from .transcripts import Transcript
from .verification import VerificationId, VerificationList, VerificationView, Verify
from .watching import Watchers

router = APIRouter(prefix="/jobs", tags=["jobs"], responses=problems(JobNotFound))
listing = APIRouter(prefix="/jobs", tags=["jobs"])
# For the gateway, which stores recordings before it tells of them.
creation = APIRouter(tags=["internal"], dependencies=[Depends(from_gateway)])
usage = APIRouter(prefix="/me", tags=["jobs"])

_EVENTS: Responses = {
    200: {
        "description": "The events, as long as the job goes on.",
        "content": {"text/event-stream": {"schema": ONE_EVENT, "example": EVENT_STREAM_EXAMPLE}},
    },
    204: {"description": "The job is over and the client has seen its end: there is no need to come back."},
}


def catalogue(request: Request, session: SessionDep) -> JobCatalogue:
    """The catalogue inside this request's transaction."""
    return JobCatalogue(session, request.app.state.resources)


def control(request: Request, session: SessionDep) -> JobControl:
    """Stopping and restarting inside this request's transaction."""
    return JobControl(session, request.app.state.resources)


def creating(request: Request, session: SessionDep) -> JobCreation:
    """Creation inside this request's transaction."""
    return JobCreation(session, request.app.state.resources)


def quotas(request: Request, session: SessionDep) -> Quotas:
    """The quotas inside this request's transaction."""
    return Quotas(session, request.app.state.resources)


def verifying(request: Request, session: SessionDep) -> Verifying:
    """Verifying inside this request's transaction."""
    return Verifying(session, request.app.state.resources)


async def watching(request: Request, _: IdentityDep) -> AsyncIterator[Watchers]:
    """This process's watchers, who outlive any transaction; the request counts as one until its answer has ended."""
    watchers: Watchers = request.app.state.watchers
    with watchers.place():
        yield watchers


CatalogueDep = Annotated[JobCatalogue, Depends(catalogue, scope="function")]
ControlDep = Annotated[JobControl, Depends(control, scope="function")]
CreationDep = Annotated[JobCreation, Depends(creating, scope="function")]
QuotasDep = Annotated[Quotas, Depends(quotas, scope="function")]
VerifyingDep = Annotated[Verifying, Depends(verifying, scope="function")]
WatchersDep = Annotated[Watchers, Depends(watching)]


@creation.post(
    "/jobs",
    status_code=status.HTTP_201_CREATED,
    summary="Accept a stored recording as a job.",
    responses=problems(JobIdTaken, ForeignSource, ModelNotAvailable, QuotaExceeded, AccountGone),
)
async def create_job(new: NewJob, identity: IdentityDep, jobs: CreationDep) -> JobView:
    """Repeating the same request is safe: it returns the same job."""
    return JobView.of(await jobs.create(identity, new))


@creation.post(
    "/jobs/batch",
    status_code=status.HTTP_201_CREATED,
    summary="Accept stored recordings, all or none.",
    responses=problems(
        JobIdTaken, ForeignSource, ModelNotAvailable, QuotaExceeded, IdempotencyKeyInFlight, AccountGone
    ),
)
async def create_jobs(new: NewJobs, identity: IdentityDep, jobs: CreationDep) -> CreatedJobs:
    """Repeating the same request is safe: it returns the same jobs."""
    return CreatedJobs(items=await jobs.create_all(identity, new))


@creation.post(
    "/jobs/{job_id}/verify",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Decode random chunks once more and compare.",
    responses=problems(
        JobNotFound, JobNotCompleted, VerificationRunning, ModelNotAvailable, QuotaExceeded, AccountGone
    ),
)
async def verify_job(
    job_id: JobId, identity: IdentityDep, verifications: VerifyingDep, wanted: Verify | None = None
) -> VerificationView:
    """Whether the chunks' audio is still stored is for the gateway to find out."""
    return VerificationView.of(await verifications.begin(identity, job_id, wanted or Verify()))


@creation.post(
    "/idempotency-keys",
    summary="Claim a key for a creation, or keep it; or read what the creation under it was answered.",
    responses=problems(JobDeleted),
)
async def claim_key(claim: Claim, identity: IdentityDep, jobs: CreationDep) -> Reservation:
    return await jobs.reserve(identity, claim)


@creation.post(
    "/idempotency-keys/release", status_code=status.HTTP_204_NO_CONTENT, summary="Give a claimed key back, unused."
)
async def release_key(claim: Claim, identity: IdentityDep, jobs: CreationDep) -> None:
    await jobs.release(identity, claim)


@creation.get(
    "/admissions",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Would this be accepted once it is uploaded? Reserves nothing.",
    responses=problems(QuotaExceeded, ModelNotAvailable),
)
async def ask_admission(
    wanted: Annotated[Admission, Query()],
    # A key that may only write asks as well.
    identity: Annotated[Identity, Depends(limited_identity)],
    jobs: CreationDep,
) -> None:
    await jobs.admit(identity, wanted)


@creation.post(
    "/uploads",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Count the bytes of a resumable upload that begins.",
    responses=problems(QuotaExceeded, ModelNotAvailable, AccountGone),
)
async def begin_upload(new: NewUpload, identity: IdentityDep, jobs: CreationDep) -> None:
    """They count until a job is created of them, the upload is given up, or its lifetime is over."""
    await jobs.begin_upload(identity, new)


@creation.delete(
    "/uploads/{job_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Count the bytes of a resumable upload no more.",
)
async def end_upload(job_id: JobId, identity: IdentityDep, limits: QuotasDep) -> None:
    """Unknown ones are fine."""
    await limits.end_upload(identity, job_id)


@usage.get("/usage", summary="How much of what is limited do you have?")
async def read_usage(identity: IdentityDep, limits: QuotasDep) -> Usage:
    return await limits.usage(identity)


@listing.get("", summary="List and search jobs.", responses=problems(InvalidCursor))
async def list_jobs(identity: IdentityDep, jobs: CatalogueDep, wanted: Annotated[ListQuery, Query()]) -> JobPage:
    """Your own jobs; administrators may ask for somebody's, or all, with `owner`.

    Cursors are stable: what is created or finished meanwhile moves no job from one page to another.
    """
    return await jobs.page(identity, wanted)


@router.get("/{job_id}", summary="Read a job.")
async def read_job(job_id: JobId, identity: IdentityDep, jobs: CatalogueDep) -> JobDetail:
    return await jobs.detail(identity, job_id)


@router.delete(
    "/{job_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Delete a job, its recording and its transcript, stopping it if it runs.",
    responses=problems(JobNotFound),
)
async def delete_job(job_id: JobId, identity: IdentityDep, jobs: CatalogueDep) -> None:
    await jobs.delete(identity, job_id)


@router.post("/{job_id}/cancel", summary="Stop a job within one chunk.", responses=problems(JobOver))
async def cancel_job(job_id: JobId, identity: IdentityDep, jobs: ControlDep) -> JobView:
    """What is transcribed so far stays readable. Cancelling a cancelled job changes nothing."""
    return JobView.of(await jobs.cancel(identity, job_id))


@router.post(
    "/{job_id}/restart",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Transcribe a recording once more.",
    responses=problems(JobActive, LanguageNotKnown, ModelNotAvailable, QuotaExceeded, AccountGone),
)
async def restart_job(job_id: JobId, identity: IdentityDep, jobs: ControlDep, wanted: Restart | None = None) -> JobView:
    """Under the same options finished chunks are taken over; under others the old transcript stays until the new one
    is complete."""
    return JobView.of(await jobs.restart(identity, job_id, wanted or Restart()))


@router.get("/{job_id}/transcript", summary="Read what is transcribed so far.", responses=problems(AttemptNotFound))
async def read_transcript(
    job_id: JobId,
    identity: IdentityDep,
    jobs: CatalogueDep,
    attempt: Annotated[
        int | None, Query(ge=1, lt=2**31, description="Left out: the finished transcript, else the current attempt.")
    ] = None,
) -> Transcript:
    """Segments in the order of the recording, with a gap wherever speech is not transcribed (yet)."""
    return await jobs.transcript(identity, job_id, attempt)


@router.get("/{job_id}/verifications", summary="The verifications of a job's transcripts, the newest first.")
async def list_verifications(job_id: JobId, identity: IdentityDep, verifications: VerifyingDep) -> VerificationList:
    rows = await verifications.all(identity, job_id)
    return VerificationList(items=[VerificationView.of(row) for row in rows])


@router.get(
    "/{job_id}/verifications/{verification_id}",
    summary="What came of a verification.",
    responses=problems(JobNotFound, VerificationNotFound),
)
async def read_verification(
    job_id: JobId, verification_id: VerificationId, identity: IdentityDep, verifications: VerifyingDep
) -> VerificationView:
    """It is over when `finished_at` is there; then `verified` says whether every chunk came out as it was."""
    return VerificationView.of(await verifications.one(identity, job_id, verification_id))


@router.get(
    "/{job_id}/events",
    summary="Follow a job.",
    response_class=StreamingResponse,
    responses=_EVENTS | problems(TooManyWatchers),
)
async def follow_job(
    job_id: JobId,
    identity: IdentityDep,
    watchers: WatchersDep,
    *,
    after: Annotated[int, Query(ge=0, lt=2**63, description="Number of the last event seen; 0 = from the start.")] = 0,
    last_event_id: Annotated[str | None, Header(description="The same, as browsers send it.")] = None,
) -> Response:
    """Server-sent events: `state` (the job is in another state), `progress` (more is known about the recording) and
    `segments` (a chunk's text). Numbers have no gaps, and the stream ends with the job."""
    seen = int(last_event_id) if last_event_id and last_event_id.isdecimal() and len(last_event_id) < 19 else after
    if await watchers.is_over(identity, job_id, seen):
        return Response(status_code=status.HTTP_204_NO_CONTENT)
    return StreamingResponse(
        watchers.follow(job_id, seen),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
