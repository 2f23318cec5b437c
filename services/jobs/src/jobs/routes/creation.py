"""Internal routes for the gateway: creation of jobs from recordings that it has stored, and verifications."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, status

from common.web import IdentityDep, SessionDep, problems
from common.web.addresses import from_gateway
from common.web.errors import QuotaExceeded
from common.web.identity import Identity, limited_identity
from jobs.errors import (
    AccountGone,
    ForeignSource,
    IdempotencyKeyInFlight,
    JobDeleted,
    JobIdTaken,
    JobNotCompleted,
    JobNotFound,
    ModelNotAvailable,
    VerificationRunning,
)
from jobs.schemas.creation import Admission, Claim, CreatedJobs, NewJobs, NewUpload, Reservation
from jobs.schemas.jobs import JobId
from jobs.schemas.verifications import VerificationView, Verify
from jobs.service import JobCreation

from .jobs import QuotasDep, VerificationsDep

router = APIRouter(tags=["internal"], dependencies=[Depends(from_gateway)])


def creation(request: Request, session: SessionDep) -> JobCreation:
    return JobCreation(session, request.app.state.resources)


CreationDep = Annotated[JobCreation, Depends(creation, scope="function")]


@router.post(
    "/jobs",
    status_code=status.HTTP_201_CREATED,
    summary="Create jobs from stored recordings, all or none.",
    responses=problems(
        JobIdTaken, ForeignSource, ModelNotAvailable, QuotaExceeded, IdempotencyKeyInFlight, AccountGone
    ),
)
async def create_jobs(new: NewJobs, identity: IdentityDep, jobs: CreationDep) -> CreatedJobs:
    """Repeating the request is safe: it returns the same jobs."""
    return CreatedJobs(items=await jobs.create_all(identity, new))


@router.post(
    "/jobs/{job_id}/verify",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Decode random chunks again and compare the results.",
    responses=problems(
        JobNotFound, JobNotCompleted, VerificationRunning, ModelNotAvailable, QuotaExceeded, AccountGone
    ),
)
async def verify_job(
    job_id: JobId, identity: IdentityDep, verifications: VerificationsDep, wanted: Verify | None = None
) -> VerificationView:
    """The gateway checks that the audio of the chunks is still stored."""
    return VerificationView.of(await verifications.start(identity, job_id, wanted or Verify()))


@router.post(
    "/idempotency-keys",
    summary="Lease an Idempotency-Key for a creation, renew the lease, or read the answer under the key.",
    responses=problems(JobDeleted),
)
async def claim_key(claim: Claim, identity: IdentityDep, jobs: CreationDep) -> Reservation:
    return await jobs.reserve(identity, claim)


@router.post("/idempotency-keys/release", status_code=status.HTTP_204_NO_CONTENT, summary="Release a leased key.")
async def release_key(claim: Claim, identity: IdentityDep, jobs: CreationDep) -> None:
    await jobs.release(identity, claim)


@router.get(
    "/admissions",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Check whether a planned upload would be accepted; reserves nothing.",
    responses=problems(QuotaExceeded, ModelNotAvailable),
)
async def ask_admission(
    wanted: Annotated[Admission, Query()],
    # Also for API keys that may only write.
    identity: Annotated[Identity, Depends(limited_identity)],
    jobs: CreationDep,
) -> None:
    await jobs.admit(identity, wanted)


@router.post(
    "/uploads",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Count the bytes of a new resumable upload.",
    responses=problems(QuotaExceeded, ModelNotAvailable, AccountGone),
)
async def begin_upload(new: NewUpload, identity: IdentityDep, jobs: CreationDep) -> None:
    """They count until the job is created, the upload is aborted, or its lifetime ends."""
    await jobs.begin_upload(identity, new)


@router.delete(
    "/uploads/{job_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Stop counting the bytes of a resumable upload.",
)
async def end_upload(job_id: JobId, identity: IdentityDep, limits: QuotasDep) -> None:
    """An unknown upload is not an error."""
    await limits.end_upload(identity, job_id)
