"""Routes of jobs for users."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response, status
from fastapi.responses import StreamingResponse

from common.web import IdentityDep, SessionDep, problems
from common.web.answers import Responses
from common.web.cursors import InvalidCursor
from common.web.errors import QuotaExceeded
from jobs.errors import (
    AccountGone,
    AttemptNotFound,
    JobActive,
    JobNotFound,
    JobOver,
    LanguageNotKnown,
    ModelNotAvailable,
    TooManyWatchers,
    VerificationNotFound,
)
from jobs.schemas.examples import EVENT_STREAM_EXAMPLE, ONE_EVENT
from jobs.schemas.jobs import JobDetail, JobId, JobPage, JobView, Restart
from jobs.schemas.listing import ListQuery
from jobs.schemas.transcripts import Transcript
from jobs.schemas.usage import Usage
from jobs.schemas.verifications import VerificationId, VerificationList, VerificationView
from jobs.service import JobCatalogue, JobControl, Quotas, Verifications, Watchers

router = APIRouter(prefix="/jobs", tags=["jobs"], responses=problems(JobNotFound))
listing = APIRouter(prefix="/jobs", tags=["jobs"])
usage = APIRouter(prefix="/me", tags=["jobs"])

_EVENTS: Responses = {
    200: {
        "description": "The events, until the job ends.",
        "content": {"text/event-stream": {"schema": ONE_EVENT, "example": EVENT_STREAM_EXAMPLE}},
    },
    204: {"description": "The job has ended and the client has its last event: it must not reconnect."},
}


def catalogue(request: Request, session: SessionDep) -> JobCatalogue:
    return JobCatalogue(session, request.app.state.resources)


def control(request: Request, session: SessionDep) -> JobControl:
    return JobControl(session, request.app.state.resources)


def quotas(request: Request, session: SessionDep) -> Quotas:
    return Quotas(session, request.app.state.resources)


def verifications(request: Request, session: SessionDep) -> Verifications:
    return Verifications(session, request.app.state.resources)


async def watching(request: Request, _: IdentityDep) -> AsyncIterator[Watchers]:
    """The watchers of this process, without a transaction; the request occupies a slot until its answer ends."""
    watchers: Watchers = request.app.state.watchers
    with watchers.slot():
        yield watchers


CatalogueDep = Annotated[JobCatalogue, Depends(catalogue, scope="function")]
ControlDep = Annotated[JobControl, Depends(control, scope="function")]
QuotasDep = Annotated[Quotas, Depends(quotas, scope="function")]
VerificationsDep = Annotated[Verifications, Depends(verifications, scope="function")]
WatchersDep = Annotated[Watchers, Depends(watching)]


@usage.get("/usage", summary="Read your usage and your quotas.")
async def read_usage(identity: IdentityDep, limits: QuotasDep) -> Usage:
    return await limits.usage(identity)


@listing.get("", summary="List and search jobs.", responses=problems(InvalidCursor))
async def list_jobs(identity: IdentityDep, jobs: CatalogueDep, wanted: Annotated[ListQuery, Query()]) -> JobPage:
    """Your own jobs; administrators list those of another user, or all, with `owner`.

    Cursors are stable: jobs that are created or finished meanwhile move no job to another page.
    """
    return await jobs.page(identity, wanted)


@router.get("/{job_id}", summary="Read a job.")
async def read_job(job_id: JobId, identity: IdentityDep, jobs: CatalogueDep) -> JobDetail:
    return await jobs.detail(identity, job_id)


@router.delete(
    "/{job_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Delete a job, its recording and its transcript; a running job is cancelled.",
    responses=problems(JobNotFound),
)
async def delete_job(job_id: JobId, identity: IdentityDep, jobs: CatalogueDep) -> None:
    await jobs.delete(identity, job_id)


@router.post("/{job_id}/cancel", summary="Cancel a job.", responses=problems(JobOver))
async def cancel_job(job_id: JobId, identity: IdentityDep, jobs: ControlDep) -> JobView:
    """Work stops within one chunk, and the transcript so far stays readable. Cancelling twice changes nothing."""
    return JobView.of(await jobs.cancel(identity, job_id))


@router.post(
    "/{job_id}/restart",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Transcribe a recording again.",
    responses=problems(JobActive, LanguageNotKnown, ModelNotAvailable, QuotaExceeded, AccountGone),
)
async def restart_job(job_id: JobId, identity: IdentityDep, jobs: ControlDep, wanted: Restart | None = None) -> JobView:
    """With unchanged options finished chunks are reused. The old transcript stays until the new one is complete."""
    return JobView.of(await jobs.restart(identity, job_id, wanted or Restart()))


@router.get("/{job_id}/transcript", summary="Read the transcript so far.", responses=problems(AttemptNotFound))
async def read_transcript(
    job_id: JobId,
    identity: IdentityDep,
    jobs: CatalogueDep,
    attempt: Annotated[
        int | None, Query(ge=1, lt=2**31, description="Default: the finished transcript, else the current attempt.")
    ] = None,
) -> Transcript:
    """Segments in the order of the recording, with a gap where speech is not transcribed (yet)."""
    return await jobs.transcript(identity, job_id, attempt)


@router.get("/{job_id}/verifications", summary="List the verifications of a job, the newest first.")
async def list_verifications(job_id: JobId, identity: IdentityDep, verifications: VerificationsDep) -> VerificationList:
    rows = await verifications.all(identity, job_id)
    return VerificationList(items=[VerificationView.of(row) for row in rows])


@router.get(
    "/{job_id}/verifications/{verification_id}",
    summary="Read a verification.",
    responses=problems(JobNotFound, VerificationNotFound),
)
async def read_verification(
    job_id: JobId, verification_id: VerificationId, identity: IdentityDep, verifications: VerificationsDep
) -> VerificationView:
    """It has ended when `finished_at` is set; then `verified` says whether every chunk matches."""
    return VerificationView.of(await verifications.one(identity, job_id, verification_id))


@router.get(
    "/{job_id}/events",
    summary="Follow the events of a job.",
    response_class=StreamingResponse,
    responses=_EVENTS | problems(TooManyWatchers),
)
async def follow_job(
    job_id: JobId,
    identity: IdentityDep,
    watchers: WatchersDep,
    *,
    after: Annotated[int, Query(ge=0, lt=2**63, description="Number of the last event received; 0 = none.")] = 0,
    last_event_id: Annotated[str | None, Header(description="The same, as browsers send it on a reconnect.")] = None,
) -> Response:
    """Server-sent events: `state` (a change of state), `progress` (new facts about the recording) and `segments` (the
    text of a chunk). Numbers have no gaps, and the stream ends with the job."""
    seen = int(last_event_id) if last_event_id and last_event_id.isdecimal() and len(last_event_id) < 19 else after
    if await watchers.is_over(identity, job_id, seen):
        return Response(status_code=status.HTTP_204_NO_CONTENT)
    return StreamingResponse(
        watchers.follow(job_id, seen),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
