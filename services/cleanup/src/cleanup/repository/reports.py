"""Reports of sweeps, and the records of deletions that they sum up."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from cleanup.errors import ReportNotFound
from cleanup.schemas import ReportPage, ReportView
from cleanup.tables import Freed, Report

from .jobs import wake_sweepers

log = structlog.get_logger(__name__)

_KEPT = 1000

_TAKE = text("""
    WITH reported AS (DELETE FROM freed WHERE done_at IS NOT NULL RETURNING rule, job_id, objects, bytes)
    SELECT rule, sum(objects)::bigint AS objects, sum(bytes)::bigint AS bytes, count(DISTINCT job_id) AS jobs
    FROM reported GROUP BY rule ORDER BY rule
""")


class FreedRepository:
    """Records of deletions, in the transaction of the caller."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def intend(self, rule: str, job_id: UUID, objects: int, size: int) -> None:
        """Record what is about to be deleted.

        An open record comes from a process that was killed. It counted every object; the repeated rule counts only
        those that are left, so the larger number is the total.
        """
        statement = insert(Freed).values(rule=rule, job_id=job_id, objects=objects, bytes=size)
        await self._session.execute(
            statement.on_conflict_do_update(
                index_elements=[Freed.rule, Freed.job_id],
                index_where=Freed.done_at.is_(None),
                set_={
                    "objects": func.greatest(Freed.objects, statement.excluded.objects),
                    "bytes": func.greatest(Freed.bytes, statement.excluded.bytes),
                },
            )
        )

    async def close(self, rule: str, job_id: UUID) -> None:
        """Close the record: its objects are deleted."""
        is_open = (Freed.rule == rule) & (Freed.job_id == job_id) & Freed.done_at.is_(None)
        await self._session.execute(update(Freed).where(is_open).values(done_at=func.now()))

    async def close_all(self, rule: str) -> None:
        """Close all records of a rule: their objects are deleted."""
        is_open = (Freed.rule == rule) & Freed.done_at.is_(None)
        await self._session.execute(update(Freed).where(is_open).values(done_at=func.now()))

    async def add(self, rule: str, job_id: UUID) -> None:
        """Record that a rule processed a job without deleting objects."""
        await self._session.execute(
            insert(Freed).values(rule=rule, job_id=job_id, objects=0, bytes=0, done_at=func.now())
        )

    async def take(self) -> dict[str, dict[str, int]]:
        """Return objects, bytes and jobs by rule of all closed records, and delete these records."""
        rows = await self._session.execute(_TAKE)
        return {row.rule: {"objects": row.objects, "bytes": row.bytes, "jobs": row.jobs} for row in rows}


class ReportRepository:
    """Reports in the transaction of the caller."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def request(self, by: UUID) -> Report:
        """Request a sweep of all rules; returns the waiting one if there is one."""
        waiting = await self._session.scalar(
            select(Report).where(Report.started_at.is_(None)).order_by(Report.id).limit(1)
        )
        if waiting is None:
            waiting = Report(cause="request", requested_by=by, requested_at=func.now())
            self._session.add(waiting)
            await self._session.flush()
            await self._session.refresh(waiting)
            log.info("cleanup requested", report=waiting.id, requested_by=str(by))
        wake_sweepers(self._session)
        return waiting

    async def page(self, *, limit: int, cursor: int | None) -> ReportPage:
        """Return reports older than the one that the cursor names."""
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
            raise ReportNotFound(f"There is no report {report_id}. Old reports are deleted.")
        return row

    async def begin(self, *, due: bool) -> Report | None:
        """Begin a sweep of all rules: one that a killed process left unfinished, a requested one, or a due one.

        None if only the deletions by users are due.
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
        """Finish a sweep with the deletions since the last report; without a sweep, report them if there are any."""
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
            log.info("cleanup finished", report=row.id, **{rule: numbers["objects"] for rule, numbers in freed.items()})

    async def waiting(self) -> bool:
        """Whether a requested sweep has not begun."""
        return await self._session.scalar(select(Report.id).where(Report.started_at.is_(None)).limit(1)) is not None
