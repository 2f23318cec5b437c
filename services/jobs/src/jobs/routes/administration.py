"""Routes for administrators."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, status

from common.web import AdminDep, SessionDep, problems
from common.web.errors import QuotaExceeded
from jobs.errors import (
    BusUnreachable,
    DeadLetterNotFound,
    ModelNotAvailable,
    ReplayImpossible,
    ServerControlDisabled,
    WorkerNotKnown,
)
from jobs.schemas.concurrency import ConcurrencyView, NewConcurrency
from jobs.schemas.dead_letters import DeadLetterPage, DeadLetterView
from jobs.schemas.figures import Ending, Stats, Window, WorkerList
from jobs.service import ConcurrencyLimits, DeadLetterCatalogue, Figures
from jobs.service.processes import end_processes

router = APIRouter(prefix="/admin", tags=["administration"])


def figures(request: Request, session: SessionDep) -> Figures:
    return Figures(session, request.app.state.resources.settings)


def limits(request: Request, session: SessionDep) -> ConcurrencyLimits:
    return ConcurrencyLimits(session, request.app.state.resources.settings)


def letters(request: Request, session: SessionDep) -> DeadLetterCatalogue:
    return DeadLetterCatalogue(session, request.app.state.resources)


FiguresDep = Annotated[Figures, Depends(figures, scope="function")]
LimitsDep = Annotated[ConcurrencyLimits, Depends(limits, scope="function")]
LettersDep = Annotated[DeadLetterCatalogue, Depends(letters, scope="function")]
LetterId = Annotated[int, Path(ge=1, lt=2**63, description="The dead letter's number.", examples=[17])]

_ENDING = problems(ServerControlDisabled, BusUnreachable)


@router.get("/workers", summary="List the workers: device, models, work in progress")
async def list_workers(_: AdminDep, figures: FiguresDep) -> WorkerList:
    return WorkerList(items=await figures.workers())


@router.get("/stats", summary="Read key figures, processes and storage")
async def read_stats(
    _: AdminDep,
    figures: FiguresDep,
    window: Annotated[Window, Query(description="Period of the figures of ended jobs.")] = "24h",
) -> Stats:
    return await figures.stats(window)


@router.get("/concurrency", summary="Read the limits of concurrent work")
async def read_concurrency(_: AdminDep, limits: LimitsDep) -> ConcurrencyView:
    return await limits.view()


@router.put(
    "/concurrency",
    summary="Change the limits of concurrent work and the paused workers, with immediate effect",
    responses=problems(WorkerNotKnown),
)
async def set_concurrency(new: NewConcurrency, admin: AdminDep, limits: LimitsDep) -> ConcurrencyView:
    return await limits.change(new, admin.user_id)


@router.get("/dead-letters", summary="List the dead letters, newest first")
async def list_dead_letters(
    _: AdminDep,
    letters: LettersDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[int | None, Query(ge=1, lt=2**63, description="next_cursor of the previous page.")] = None,
    job_id: Annotated[UUID | None, Query(description="Only dead letters about this job.")] = None,
) -> DeadLetterPage:
    return await letters.page(limit=limit, cursor=cursor, job_id=job_id)


@router.get(
    "/dead-letters/{letter_id}", summary="Read a dead letter with its payload", responses=problems(DeadLetterNotFound)
)
async def read_dead_letter(letter_id: LetterId, _: AdminDep, letters: LettersDep) -> DeadLetterView:
    return await letters.read(letter_id)


@router.post(
    "/dead-letters/{letter_id}/replay",
    summary="Send a dead letter again, once; work of a failed job starts a new attempt",
    responses=problems(DeadLetterNotFound, ReplayImpossible, ModelNotAvailable, QuotaExceeded),
)
async def replay_dead_letter(letter_id: LetterId, admin: AdminDep, letters: LettersDep) -> DeadLetterView:
    return await letters.replay(letter_id, admin)


@router.delete(
    "/dead-letters/{letter_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Discard a dead letter",
    responses=problems(DeadLetterNotFound),
)
async def discard_dead_letter(letter_id: LetterId, admin: AdminDep, letters: LettersDep) -> None:
    await letters.discard(letter_id, admin.user_id)


@router.post("/shutdown", status_code=202, summary="End every service process", responses=_ENDING)
async def shutdown(request: Request, admin: AdminDep, figures: FiguresDep) -> Ending:
    state = request.app.state
    return await end_processes(state.broker, state.resources.settings, figures, admin, restart=False)


@router.post("/restart", status_code=202, summary="End every service process for a restart", responses=_ENDING)
async def restart(request: Request, admin: AdminDep, figures: FiguresDep) -> Ending:
    state = request.app.state
    return await end_processes(state.broker, state.resources.settings, figures, admin, restart=True)
