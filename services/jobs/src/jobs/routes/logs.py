"""HTTP in: the logs."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from common.web import AdminDep, IdentityDep, SessionDep, problems
from common.web.addresses import from_gateway
from common.web.answers import Responses

from .errors import JobNotFound, LogNotFound
from .repository.archive import of_access, of_job, of_system
from .schemas import JobId, LogPage
from .service.logs import LogReader, log_named, text_after

router = APIRouter(tags=["logs"])

TEXT = "text/plain; charset=utf-8"
_EXAMPLE = (
    "2026-11-22 16:05:01.123 INFO    transcriber chunk decoded chunk=3 job_id=4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10\n"
)
_AS_TEXT: Responses = {200: {"description": "Lines of text.", "content": {"text/plain": {"example": _EXAMPLE}}}}

After = Annotated[int, Query(ge=0, lt=2**63, description="The number of the last line that is known already.")]
Limit = Annotated[int, Query(ge=1, le=2000)]
Lines = Annotated[int, Query(ge=1, le=100_000, description="How many lines, the newest ones.")]


def reader(session: SessionDep) -> LogReader:
    """The archive inside this request's transaction."""
    return LogReader(session)


ReaderDep = Annotated[LogReader, Depends(reader, scope="function")]


@router.get("/jobs/{job_id}/logs", summary="Read a job's log page by page", responses=problems(JobNotFound))
async def read_job_logs(
    job_id: JobId, identity: IdentityDep, logs: ReaderDep, after: After = 0, limit: Limit = 500
) -> LogPage:
    """The lines of every service that touched the job, for its owner and for administrators."""
    await logs.require(identity, job_id)
    return LogPage.of(*await logs.page(of_job(job_id), after=after, limit=limit), limit=limit)


@router.get(
    "/log-lines",
    tags=["internal"],
    dependencies=[Depends(from_gateway)],
    summary="Read the system log page by page",
)
async def read_system_lines(_: AdminDep, logs: ReaderDep, after: After = 0, limit: Limit = 500) -> LogPage:
    """What the gateway follows for `/ws/logs/system`."""
    return LogPage.of(*await logs.page(of_system(), after=after, limit=limit), limit=limit)


@router.get(
    "/log/{job_id}",
    summary="Read a job's log as text",
    response_class=Response,
    responses=_AS_TEXT | problems(JobNotFound),
)
async def read_job_log(job_id: JobId, identity: IdentityDep, logs: ReaderDep, request: Request) -> StreamingResponse:
    """The lines of every service that touched the job, for its owner and for administrators."""
    await logs.require(identity, job_id)
    return _text(text_after(request.app.state.sessions, of_job(job_id), 0))


@router.get(
    "/logs/access",
    summary="Read the log of HTTP requests as text",
    response_class=Response,
    responses=_AS_TEXT | {404: {"description": "There is none yet; the answer is empty."}},
)
async def read_access_log(_: AdminDep, logs: ReaderDep, request: Request, lines: Lines = 1000) -> Response:
    """A line for each request and WebSocket that a service answered, the newest last."""
    if not await logs.any(of_access()):
        return Response(status_code=404)
    return _text(text_after(request.app.state.sessions, of_access(), await logs.start(of_access(), lines)))


@router.get("/logs/system", summary="Read the system log as text", response_class=Response, responses=_AS_TEXT)
async def read_system_log(_: AdminDep, logs: ReaderDep, request: Request, lines: Lines = 1000) -> StreamingResponse:
    """What all services say, with or without a job, except about HTTP requests; the newest last."""
    return _text(text_after(request.app.state.sessions, of_system(), await logs.start(of_system(), lines)))


@router.get(
    "/logs/{filename}",
    summary="Read one service's log as text",
    response_class=Response,
    responses=_AS_TEXT | problems(LogNotFound),
)
async def read_named_log(
    filename: Annotated[str, Path(max_length=100, description="`jobs.log` and so on.", examples=["jobs.log"])],
    _: AdminDep,
    logs: ReaderDep,
    request: Request,
    lines: Lines = 1000,
) -> StreamingResponse:
    """The archived lines of all instances of a service. The name is looked up in a list and is no path."""
    which = log_named(filename)
    return _text(text_after(request.app.state.sessions, which, await logs.start(which, lines)))


def _text(lines: AsyncIterator[str]) -> StreamingResponse:
    return StreamingResponse(lines, media_type=TEXT, headers={"Cache-Control": "private, no-store"})
