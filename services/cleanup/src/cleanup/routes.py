"""HTTP in, all of it for administrators."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Path, Query, Request, Response, status
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import StreamingResponse

from common.events import ResetRequested
from common.messaging import outbox
from common.web import AdminDep, SessionDep, problems

from .bundle import Bundle, Format
from .config import CleanupConfigView, ConfigStore, NewCleanupConfig
from .errors import FileInUse, FileNotFound, InvalidCursor, NotConfirmed, ReportNotFound, StoreDown
from .files import FilePage, Files, Kind
from .reports import ReportPage, ReportRepository, ReportView
from .storage_report import StorageReport
from .sweeps import Resources

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/admin", tags=["administration"])

CONFIRMATION = "delete all jobs"


class ResetOrder(BaseModel):
    """The phrase that shows that this is meant."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"confirmation": CONFIRMATION}]})

    confirmation: str = Field(max_length=100, description=f"Exactly: {CONFIRMATION}")


class ResetView(BaseModel):
    """What was set in motion."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"requested_at": "2026-01-31T12:00:00Z", "requested_by": "d4c1a2b3-0f5e-4b6a-8c7d-9e0f1a2b3c4d"}
            ]
        }
    )

    requested_at: datetime = Field(description="Jobs created up to this moment are deleted, everywhere, in a while.")
    requested_by: UUID


def files(request: Request, session: SessionDep) -> Files:
    """The files, with what is known of jobs inside this request's transaction."""
    return Files(session, request.app.state.resources.store)


def config(request: Request, session: SessionDep) -> ConfigStore:
    """The configuration inside this request's transaction."""
    return ConfigStore(session, request.app.state.resources.settings)


def reports(session: SessionDep) -> ReportRepository:
    """The reports inside this request's transaction."""
    return ReportRepository(session)


FilesDep = Annotated[Files, Depends(files, scope="function")]
ConfigDep = Annotated[ConfigStore, Depends(config, scope="function")]
ReportsDep = Annotated[ReportRepository, Depends(reports, scope="function")]
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/files", summary="Stored files by kind, with size and owner", responses=problems(InvalidCursor, StoreDown))
async def list_files(
    _: AdminDep,
    files: FilesDep,
    limit: Limit = 100,
    cursor: Annotated[str | None, Query(max_length=1000, description="next_cursor of the page before.")] = None,
    kind: Annotated[Kind | None, Query(description="Only files of this kind.")] = None,
    job_id: Annotated[UUID | None, Query(description="Only files of this job.")] = None,
) -> FilePage:
    return await files.page(limit=limit, cursor=cursor, kind=kind, job_id=job_id)


@router.delete(
    "/files/{key:path}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Delete a file that no live job refers to",
    responses=problems(FileNotFound, FileInUse, StoreDown),
)
async def delete_file(
    key: Annotated[
        str,
        Path(
            description="The file's key, slashes and all.",
            examples=["uploads/4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10/source"],
            json_schema_extra={"format": "path"},
        ),
    ],
    admin: AdminDep,
    files: FilesDep,
) -> None:
    await files.delete(key, admin.user_id)


@router.get("/storage", summary="How much is stored, by kind", responses=problems(StoreDown))
async def read_storage(_: AdminDep, request: Request) -> StorageReport:
    report: StorageReport = await request.app.state.storage.report()
    return report


@router.get("/cleanup-config", summary="When what is removed")
async def read_cleanup_config(_: AdminDep, config: ConfigDep) -> CleanupConfigView:
    return await config.view()


@router.put("/cleanup-config", summary="Set when what is removed; counts at once on every replica")
async def set_cleanup_config(new: NewCleanupConfig, admin: AdminDep, config: ConfigDep) -> CleanupConfigView:
    return await config.put(new, admin.user_id)


@router.post(
    "/cleanup/run",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Run all rules now; the report tells when they are through",
)
async def run_cleanup(admin: AdminDep, reports: ReportsDep) -> ReportView:
    return ReportView.of(await reports.request(admin.user_id))


@router.get("/cleanup/reports", summary="What each sweep freed, newest first")
async def list_reports(
    _: AdminDep,
    reports: ReportsDep,
    limit: Limit = 50,
    cursor: Annotated[int | None, Query(ge=1, lt=2**63, description="next_cursor of the page before.")] = None,
) -> ReportPage:
    return await reports.page(limit=limit, cursor=cursor)


@router.get("/cleanup/reports/{report_id}", summary="What a sweep freed", responses=problems(ReportNotFound))
async def read_report(
    report_id: Annotated[int, Path(ge=1, lt=2**63, examples=[42])], _: AdminDep, reports: ReportsDep
) -> ReportView:
    return ReportView.of(await reports.read(report_id))


@router.post(
    "/reset",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Delete every job with everything that belongs to it; users stay",
    responses=problems(NotConfirmed),
)
async def reset(order: ResetOrder, admin: AdminDep, session: SessionDep) -> ResetView:
    return _order_reset(order, admin.user_id, session)


def _order_reset(order: ResetOrder, by: UUID, session: AsyncSession) -> ResetView:
    if order.confirmation != CONFIRMATION:
        raise NotConfirmed(f"To delete every job, send the confirmation: {CONFIRMATION}", expected=CONFIRMATION)
    event = ResetRequested(requested_by=by)
    outbox.add(session, event)
    log.warning("reset requested", by=str(by))
    return ResetView(requested_at=event.occurred_at, requested_by=by)


@router.get(
    "/download-all",
    summary="All finished transcripts as one zip file, made while it is sent",
    response_class=Response,
    responses={
        200: {
            "description": "The zip file.",
            "headers": {"Content-Disposition": {"schema": {"type": "string"}, "description": "The file's name."}},
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        },
        **problems(StoreDown),
    },
)
async def download_all(
    _: AdminDep,
    request: Request,
    format: Annotated[Format, Query(description="One format of the transcripts, or all.")] = "all",  # noqa: A002 (public name)
    recordings: Annotated[bool, Query(description="With the recordings.")] = False,
) -> StreamingResponse:
    resources: Resources = request.app.state.resources
    await resources.store.check()
    bundle = Bundle(resources.sessions, resources.store, fmt=format, recordings=recordings)
    name = f"verbatim-transcripts-{datetime.now(UTC):%Y-%m-%d}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(bundle.chunks(), media_type="application/zip", headers=headers)
