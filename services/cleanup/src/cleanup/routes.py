"""HTTP routes; all of them require an administrator."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response, status
from starlette.responses import StreamingResponse

from common.web import AdminDep, SessionDep, problems
from common.web.cursors import InvalidCursor

from .errors import FileInUse, FileNotFound, NotConfirmed, ReportNotFound, StoreDown
from .files.bundle import Bundle, Format
from .repository.config import ConfigStore
from .repository.reports import ReportRepository
from .schemas import (
    CleanupConfigView,
    FilePage,
    Kind,
    NewCleanupConfig,
    NewReset,
    ReportPage,
    ReportView,
    ResetView,
    StorageReport,
)
from .service import FileFilter, Files, Reset
from .sweeps.rules import Resources

router = APIRouter(prefix="/admin", tags=["administration"])


def files(request: Request, session: SessionDep) -> Files:
    """The files, in the transaction of this request."""
    return Files(session, request.app.state.resources.store)


def config(request: Request, session: SessionDep) -> ConfigStore:
    """The configuration, in the transaction of this request."""
    return ConfigStore(session, request.app.state.resources.settings)


def reports(session: SessionDep) -> ReportRepository:
    """The reports, in the transaction of this request."""
    return ReportRepository(session)


def reset(request: Request, session: SessionDep) -> Reset:
    """Resets, in the transaction of this request."""
    return Reset(session, request.app.state.resources.store)


FilesDep = Annotated[Files, Depends(files, scope="function")]
ConfigDep = Annotated[ConfigStore, Depends(config, scope="function")]
ReportsDep = Annotated[ReportRepository, Depends(reports, scope="function")]
ResetDep = Annotated[Reset, Depends(reset, scope="function")]
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get(
    "/files", summary="List stored files by kind, with size and owner", responses=problems(InvalidCursor, StoreDown)
)
async def list_files(  # noqa: PLR0917 - FastAPI passes by name
    _: AdminDep,
    files: FilesDep,
    limit: Limit = 100,
    cursor: Annotated[str | None, Query(max_length=1000, description="next_cursor of the previous page.")] = None,
    kind: Annotated[Kind | None, Query(description="Only files of this kind.")] = None,
    job_id: Annotated[UUID | None, Query(description="Only files of this job.")] = None,
    owner_id: Annotated[UUID | None, Query(description="Only files of this user's jobs.")] = None,
) -> FilePage:
    return await files.page(FileFilter(kind, job_id, owner_id), limit=limit, cursor=cursor)


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
            description="The file's key, including slashes.",
            examples=["uploads/4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10/source"],
            json_schema_extra={"format": "path"},
        ),
    ],
    admin: AdminDep,
    files: FilesDep,
) -> None:
    await files.delete(key, admin.user_id)


@router.get("/storage", summary="Read the storage use by kind", responses=problems(StoreDown))
async def read_storage(_: AdminDep, request: Request) -> StorageReport:
    report: StorageReport = await request.app.state.storage.report()
    return report


@router.get("/cleanup-config", summary="Read the cleanup configuration")
async def read_cleanup_config(_: AdminDep, config: ConfigDep) -> CleanupConfigView:
    return await config.view()


@router.put("/cleanup-config", summary="Change the cleanup configuration; it applies at once on every replica")
async def set_cleanup_config(new: NewCleanupConfig, admin: AdminDep, config: ConfigDep) -> CleanupConfigView:
    return await config.put(new, admin.user_id)


@router.post(
    "/cleanup/run",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Run all rules now; the report shows when they have finished",
)
async def run_cleanup(admin: AdminDep, reports: ReportsDep) -> ReportView:
    return ReportView.of(await reports.request(admin.user_id))


@router.get("/cleanup/reports", summary="List the reports of sweeps, newest first")
async def list_reports(
    _: AdminDep,
    reports: ReportsDep,
    limit: Limit = 50,
    cursor: Annotated[int | None, Query(ge=1, lt=2**63, description="next_cursor of the previous page.")] = None,
) -> ReportPage:
    return await reports.page(limit=limit, cursor=cursor)


@router.get("/cleanup/reports/{report_id}", summary="Read the report of a sweep", responses=problems(ReportNotFound))
async def read_report(
    report_id: Annotated[int, Path(ge=1, lt=2**63, examples=[42])], _: AdminDep, reports: ReportsDep
) -> ReportView:
    return ReportView.of(await reports.read(report_id))


@router.post(
    "/reset",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Delete every job and upload with all their data, and on request all other users",
    responses=problems(NotConfirmed, StoreDown),
)
async def order_reset(new: NewReset, admin: AdminDep, reset: ResetDep) -> ResetView:
    return await reset.order(new, admin.user_id)


@router.get(
    "/download-all",
    summary="Download all finished transcripts as one zip file",
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
    recordings: Annotated[bool, Query(description="Include the recordings.")] = False,
) -> StreamingResponse:
    resources: Resources = request.app.state.resources
    await resources.store.check()
    bundle = Bundle(resources.sessions, resources.store, fmt=format, recordings=recordings)
    name = f"verbatim-transcripts-{datetime.now(UTC):%Y-%m-%d}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(bundle.chunks(), media_type="application/zip", headers=headers)
