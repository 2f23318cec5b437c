"""HTTP in, for administrators."""

from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Path, Query, Request, status

from common.events import EndProcesses
from common.messaging import Broker
from common.web import AdminDep, Identity, SessionDep, problems
from common.web.errors import QuotaExceeded
from jobs.errors import ModelNotAvailable
from jobs.settings import Settings

from .concurrency import ConcurrencyStore, ConcurrencyView, NewConcurrency
from .deadletters import DeadLetterOffice, DeadLetterPage, DeadLetterView
from .errors import BusUnreachable, DeadLetterNotFound, ReplayImpossible, ServerControlDisabled, WorkerNotKnown
from .stats import Ending, Figures, Stats, Window, WorkerList

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/admin", tags=["administration"])


def figures(request: Request, session: SessionDep) -> Figures:
    """The figures inside this request's transaction."""
    return Figures(session, request.app.state.resources.settings)


def concurrency(request: Request, session: SessionDep) -> ConcurrencyStore:
    """What was set at run time, inside this request's transaction."""
    return ConcurrencyStore(session, request.app.state.resources.settings)


def office(request: Request, session: SessionDep) -> DeadLetterOffice:
    """The dead letters inside this request's transaction."""
    return DeadLetterOffice(session, request.app.state.resources)


FiguresDep = Annotated[Figures, Depends(figures, scope="function")]
ConcurrencyDep = Annotated[ConcurrencyStore, Depends(concurrency, scope="function")]
OfficeDep = Annotated[DeadLetterOffice, Depends(office, scope="function")]
LetterId = Annotated[int, Path(ge=1, lt=2**63, description="The dead letter's number.", examples=[17])]


@router.get("/workers", summary="Every worker: its device, its models, what it is doing")
async def list_workers(_: AdminDep, figures: FiguresDep) -> WorkerList:
    return WorkerList(items=await figures.workers())


@router.get("/stats", summary="Key figures, use of the machines, storage")
async def read_stats(
    _: AdminDep,
    figures: FiguresDep,
    window: Annotated[Window, Query(description="How far back the figures of ended jobs reach.")] = "24h",
) -> Stats:
    return await figures.stats(window)


@router.get("/concurrency", summary="How much is worked on at once")
async def read_concurrency(_: AdminDep, concurrency: ConcurrencyDep) -> ConcurrencyView:
    return await concurrency.view()


@router.put(
    "/concurrency",
    summary="Set how much is worked on at once, and which workers are paused; counts at once",
    responses=problems(WorkerNotKnown),
)
async def set_concurrency(new: NewConcurrency, admin: AdminDep, concurrency: ConcurrencyDep) -> ConcurrencyView:
    return await concurrency.put(new, admin.user_id)


@router.get("/dead-letters", summary="Messages that the broker gave up on, newest first")
async def list_dead_letters(
    _: AdminDep,
    office: OfficeDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[int | None, Query(ge=1, lt=2**63, description="next_cursor of the page before.")] = None,
    job_id: Annotated[UUID | None, Query(description="Only those about this job.")] = None,
) -> DeadLetterPage:
    return await office.page(limit=limit, cursor=cursor, job_id=job_id)


@router.get(
    "/dead-letters/{letter_id}", summary="A dead letter with its payload", responses=problems(DeadLetterNotFound)
)
async def read_dead_letter(letter_id: LetterId, _: AdminDep, office: OfficeDep) -> DeadLetterView:
    return await office.read(letter_id)


@router.post(
    "/dead-letters/{letter_id}/replay",
    summary="Send a dead letter again; work of a failed job begins a new attempt. Once only, however often asked",
    responses=problems(DeadLetterNotFound, ReplayImpossible, ModelNotAvailable, QuotaExceeded),
)
async def replay_dead_letter(letter_id: LetterId, admin: AdminDep, office: OfficeDep) -> DeadLetterView:
    return await office.replay(letter_id, admin)


@router.delete(
    "/dead-letters/{letter_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Discard a dead letter",
    responses=problems(DeadLetterNotFound),
)
async def discard_dead_letter(letter_id: LetterId, admin: AdminDep, office: OfficeDep) -> None:
    await office.discard(letter_id, admin.user_id)


_ENDING = problems(ServerControlDisabled, BusUnreachable)


@router.post("/shutdown", status_code=202, summary="End every service process for good", responses=_ENDING)
async def shutdown(request: Request, admin: AdminDep, figures: FiguresDep) -> Ending:
    return await _end(request, admin, figures, restart=False)


@router.post("/restart", status_code=202, summary="End every service process, to be started again", responses=_ENDING)
async def restart(request: Request, admin: AdminDep, figures: FiguresDep) -> Ending:
    return await _end(request, admin, figures, restart=True)


async def _end(request: Request, admin: Identity, figures: Figures, *, restart: bool) -> Ending:
    settings: Settings = request.app.state.resources.settings
    broker: Broker = request.app.state.broker
    if not settings.enable_server_control:
        raise ServerControlDisabled("Set ENABLE_SERVER_CONTROL=true for every service to allow this.")
    if not broker.connected:
        raise BusUnreachable("The other processes cannot be told. Try again in a moment.")
    alive = [each.instance for each in await figures.instances() if each.alive]
    log.warning("all processes are told to end", restart=restart, by=str(admin.user_id))
    await broker.broadcast(EndProcesses(restart=restart, requested_by=admin.user_id))
    return Ending(restart=restart, requested_by=admin.user_id, instances=alive)
