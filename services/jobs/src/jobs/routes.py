"""HTTP in."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, status

from common.web import IdentityDep, SessionDep, problems

from .errors import ForeignSource, InvalidCursor, JobIdTaken, JobNotFound, ModelNotAvailable
from .schemas import Cursor, JobPage, JobView, NewJob
from .service import JobCatalogue
from .states import State

router = APIRouter(prefix="/jobs", tags=["jobs"])


def catalogue(request: Request, session: SessionDep) -> JobCatalogue:
    """The catalogue inside this request's transaction."""
    return JobCatalogue(session, request.app.state.resources)


CatalogueDep = Annotated[JobCatalogue, Depends(catalogue, scope="function")]


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    summary="Accept a stored recording as a job.",
    tags=["internal"],
    responses=problems(JobIdTaken, ForeignSource, ModelNotAvailable),
)
async def create_job(new: NewJob, identity: IdentityDep, jobs: CatalogueDep) -> JobView:
    """Repeating the same request is safe: it returns the same job."""
    return JobView.of(await jobs.create(identity.user_id, new))


@router.get("", summary="List your jobs, newest first.", responses=problems(InvalidCursor))
async def list_jobs(
    identity: IdentityDep,
    jobs: CatalogueDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: str | None = None,
    state: State | None = None,
) -> JobPage:
    before = None if cursor is None else Cursor.decode(cursor).position
    found = await jobs.page(identity.user_id, limit=limit + 1, before=before, state=state)
    return JobPage.of(found, limit)


@router.get("/{job_id}", summary="Read a job.", responses=problems(JobNotFound))
async def read_job(job_id: UUID, identity: IdentityDep, jobs: CatalogueDep) -> JobView:
    return JobView.of(await jobs.get(identity.user_id, job_id))


@router.delete(
    "/{job_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Delete a job, its recording and its transcript, stopping it if it runs.",
    responses=problems(JobNotFound),
)
async def delete_job(job_id: UUID, identity: IdentityDep, jobs: CatalogueDep) -> None:
    await jobs.delete(identity.user_id, job_id)
