"""Routes of the log archive."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from common.web import AdminDep, IdentityDep, SessionDep, problems
from common.web.addresses import from_gateway
from common.web.answers import Responses
from jobs.errors import JobNotFound, LogNotFound
from jobs.logs.reader import log_named, read_page, text_after
from jobs.repository import LogRepository
from jobs.repository.logs import of_access, of_job, of_system
from jobs.schemas.jobs import JobId
from jobs.schemas.logs import LogPage

from .jobs import CatalogueDep

router = APIRouter(tags=["logs"])

TEXT = "text/plain; charset=utf-8"
_EXAMPLE = (
    "2026-11-22 16:05:01.123 INFO    transcriber chunk decoded chunk=3 job_id=4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10\n"
)
_AS_TEXT: Responses = {200: {"description": "Lines of text.", "content": {"text/plain": {"example": _EXAMPLE}}}}

After = Annotated[int, Query(ge=0, lt=2**63, description="Number of the last record that the client has.")]
Limit = Annotated[int, Query(ge=1, le=2000)]
Lines = Annotated[int, Query(ge=1, le=100_000, description="Number of lines, the newest ones.")]


def repository(session: SessionDep) -> LogRepository:
    return LogRepository(session)


LogsDep = Annotated[LogRepository, Depends(repository, scope="function")]


@router.get("/jobs/{job_id}/logs", summary="Read a job's log page by page", responses=problems(JobNotFound))
async def read_job_logs(
    job_id: JobId,
    identity: IdentityDep,
    jobs: CatalogueDep,
    logs: LogsDep,
    *,
    after: After = 0,
    limit: Limit = 500,
) -> LogPage:
    """The records of all services about the job, for its owner and for administrators."""
    await jobs.get(identity, job_id)
    return LogPage.of(*await read_page(logs, of_job(job_id), after=after, limit=limit), limit=limit)


@router.get(
    "/log-lines",
    tags=["internal"],
    dependencies=[Depends(from_gateway)],
    summary="Read the system log page by page",
)
async def read_system_lines(_: AdminDep, logs: LogsDep, after: After = 0, limit: Limit = 500) -> LogPage:
    """The source of the gateway's `/ws/logs/system`."""
    return LogPage.of(*await read_page(logs, of_system(), after=after, limit=limit), limit=limit)


@router.get(
    "/log/{job_id}",
    summary="Read a job's log as text",
    response_class=Response,
    responses=_AS_TEXT | problems(JobNotFound),
)
async def read_job_log(job_id: JobId, identity: IdentityDep, jobs: CatalogueDep, request: Request) -> StreamingResponse:
    """The records of all services about the job, for its owner and for administrators."""
    await jobs.get(identity, job_id)
    return _text(text_after(request.app.state.sessions, of_job(job_id), 0))


@router.get(
    "/logs/access",
    summary="Read the log of HTTP requests as text",
    response_class=Response,
    responses=_AS_TEXT | {404: {"description": "The log has no lines yet; the body is empty."}},
)
async def read_access_log(_: AdminDep, logs: LogsDep, request: Request, lines: Lines = 1000) -> Response:
    """One line per request and WebSocket of all services, the newest last."""
    if not await logs.read(of_access(), after=0, upto=await logs.head(), limit=1):
        return Response(status_code=404)
    return _text(text_after(request.app.state.sessions, of_access(), await logs.before_newest(of_access(), lines)))


@router.get("/logs/system", summary="Read the system log as text", response_class=Response, responses=_AS_TEXT)
async def read_system_log(_: AdminDep, logs: LogsDep, request: Request, lines: Lines = 1000) -> StreamingResponse:
    """The records of all services, with or without a job, except those of HTTP requests; the newest last."""
    return _text(text_after(request.app.state.sessions, of_system(), await logs.before_newest(of_system(), lines)))


@router.get(
    "/logs/{filename}",
    summary="Read one service's log as text",
    response_class=Response,
    responses=_AS_TEXT | problems(LogNotFound),
)
async def read_named_log(
    filename: Annotated[
        str, Path(max_length=100, description="`<service>.log`, for example `jobs.log`.", examples=["jobs.log"])
    ],
    _: AdminDep,
    logs: LogsDep,
    request: Request,
    lines: Lines = 1000,
) -> StreamingResponse:
    """The archived records of all instances of a service. The name is compared with a list, and is not a path."""
    which = log_named(filename)
    return _text(text_after(request.app.state.sessions, which, await logs.before_newest(which, lines)))


def _text(lines: AsyncIterator[str]) -> StreamingResponse:
    return StreamingResponse(lines, media_type=TEXT, headers={"Cache-Control": "private, no-store"})
