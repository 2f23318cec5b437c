"""Sweeps as administrators see them: asked for, running, over, and what each freed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import structlog
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from .errors import ReportNotFound
from .freed import FreedRepository
from .repository import wake_sweepers
from .tables import Report

log = structlog.get_logger(__name__)

_KEPT = 1000

_EXAMPLE: dict[str, Any] = {
    "id": 42,
    "cause": "schedule",
    "state": "finished",
    "requested_at": None,
    "requested_by": None,
    "started_at": "2026-01-31T12:00:00Z",
    "finished_at": "2026-01-31T12:00:02Z",
    "freed": {"tombstoned": {"objects": 31, "bytes": 48_234_496, "jobs": 2}},
    "failed": [],
    "objects": 31,
    "bytes": 48_234_496,
}


class FreedByRule(BaseModel):
    """What one rule freed."""

    objects: int
    bytes: int = Field(description="Parts of unfinished uploads have no known size and count as 0.")
    jobs: int


class ReportView(BaseModel):
    """A sweep and what it freed."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: int
    cause: Literal["schedule", "deletion", "request"]
    state: Literal["waiting", "running", "finished"]
    requested_at: datetime | None
    requested_by: UUID | None
    started_at: datetime | None
    finished_at: datetime | None
    freed: dict[str, FreedByRule] = Field(description="By rule; complete once the sweep is finished.")
    failed: list[str] = Field(description="Rules that broke off; the next round repeats them.")
    objects: int
    bytes: int

    @classmethod
    def of(cls, row: Report) -> "ReportView":
        """Return the view of a row."""
        freed = {rule: FreedByRule.model_validate(numbers) for rule, numbers in row.freed.items()}
        state = "finished" if row.finished_at else "running" if row.started_at else "waiting"
        return cls.model_validate(
            {
                "state": state,
                "freed": freed,
                "objects": sum(each.objects for each in freed.values()),
                "bytes": sum(each.bytes for each in freed.values()),
                **{name: getattr(row, name) for name in cls.model_fields if name in _COLUMNS},
            }
        )


_COLUMNS = ("id", "cause", "requested_at", "requested_by", "started_at", "finished_at", "failed")


class ReportPage(BaseModel):
    """Some reports, newest first."""

    items: list[ReportView]
    next_cursor: int | None = Field(description="Pass it back to get what follows; null = this is the end.")


class ReportRepository:
    """Reports within the caller's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        """Work in the given session; the caller commits."""
        self._session = session

    async def request(self, by: UUID) -> Report:
        """Ask for a sweep of all rules, wherever one is ready for it; a sweep that waits already is the same."""
        waiting = await self._session.scalar(
            select(Report).where(Report.started_at.is_(None)).order_by(Report.id).limit(1)
        )
        if waiting is None:
            waiting = Report(cause="request", requested_by=by, requested_at=func.now())
            self._session.add(waiting)
            await self._session.flush()
            await self._session.refresh(waiting)
            log.info("cleanup requested", report=waiting.id, by=str(by))
        wake_sweepers(self._session)
        return waiting

    async def page(self, *, limit: int, cursor: int | None) -> ReportPage:
        """Return reports older than the one the cursor names."""
        query = select(Report).order_by(Report.id.desc()).limit(limit + 1)
        if cursor is not None:
            query = query.where(Report.id < cursor)
        rows: Sequence[Report] = (await self._session.scalars(query)).all()
        shown = rows[:limit]
        return ReportPage(
            items=[ReportView.of(row) for row in shown],
            next_cursor=shown[-1].id if len(rows) > limit else None,
        )

    async def read(self, report_id: int) -> Report:
        """Return a report; raises ReportNotFound."""
        row = await self._session.get(Report, report_id)
        if row is None:
            raise ReportNotFound(f"there is no report {report_id}")
        return row

    async def begin(self, *, due: bool) -> Report | None:
        """Begin a sweep of all rules: one that a killed process left unfinished, one that was asked for, or a due one.

        None if there is no reason for more than what users deleted.
        """
        unfinished = select(Report).where(Report.finished_at.is_(None))
        row = await self._session.scalar(unfinished.order_by(Report.started_at.is_(None), Report.id).limit(1))
        if row is None and due:
            row = Report(cause="schedule")
            self._session.add(row)
        if row is not None:
            row.started_at = row.started_at or func.now()
            await self._session.flush()
            await self._session.refresh(row)
        return row

    async def finish(self, report_id: int | None, started_at: datetime, failed: Sequence[str]) -> None:
        """End a sweep with what is gone since the report before; deletions alone are reported if there were any."""
        freed = await FreedRepository(self._session).take()
        if report_id is not None:
            row = await self.read(report_id)
        elif freed or failed:
            row = Report(cause="deletion", started_at=started_at)
            self._session.add(row)
        else:
            return
        row.finished_at, row.freed, row.failed = func.now(), freed, list(failed)
        await self._session.flush()
        oldest = select(Report.id).order_by(Report.id.desc()).offset(_KEPT).limit(1).scalar_subquery()
        await self._session.execute(delete(Report).where(Report.id <= oldest))
        if freed:
            log.info("cleanup freed", report=row.id, **{rule: numbers["objects"] for rule, numbers in freed.items()})

    async def waiting(self) -> bool:
        """Tell whether somebody asked for a sweep that has not begun."""
        return await self._session.scalar(select(Report.id).where(Report.started_at.is_(None)).limit(1)) is not None
