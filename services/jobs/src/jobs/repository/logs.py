"""Queries on the log archive."""

import json
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from jobs.tables import LogLine

_COLUMNS = ("kind", "service", "job_id", "log_id", "record")
# One statement for any number of lines: a list of values would be another one to prepare for each length.
_APPEND = text("""
    INSERT INTO log_lines (kind, service, job_id, log_id, record)
    SELECT kind, service, job_id, log_id, CAST(record AS jsonb)
    FROM unnest(CAST(:kind AS text[]), CAST(:service AS text[]), CAST(:job_id AS uuid[]), CAST(:log_id AS uuid[]),
                CAST(:record AS text[])) WITH ORDINALITY AS lines(kind, service, job_id, log_id, record, place)
    ORDER BY place
    ON CONFLICT (log_id) DO NOTHING
    RETURNING seq, log_id
""")


class Kind(StrEnum):
    """What a log line is about; each kind is kept for a time and in a number of its own."""

    JOB = "job"
    ACCESS = "access"
    SYSTEM = "system"


def of_job(job_id: UUID) -> ColumnElement[bool]:
    """The lines of every service that touched the job."""
    return LogLine.job_id == job_id


def of_service(service: str) -> ColumnElement[bool]:
    """All lines of one service."""
    return LogLine.service == service


def of_access() -> ColumnElement[bool]:
    """A line for each HTTP request and WebSocket."""
    return LogLine.kind == Kind.ACCESS


def of_system() -> ColumnElement[bool]:
    """What all services say, with or without a job, except about HTTP requests."""
    return LogLine.kind != Kind.ACCESS


class LogRepository:
    """Appends log lines in an order that readers can follow without missing one."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the caller's transaction."""
        self._session = session

    async def append(self, lines: Sequence[dict[str, Any]]) -> tuple[int, list[tuple[int, dict[str, Any]]]]:
        """Write lines (kind, service, job_id, log_id, record); those already archived are skipped.

        Returns the number that was the highest before, and the new lines with their numbers, in order. Writers take
        turns: numbers handed out by two transactions at once could become visible in the wrong order, and a reader who
        asks for what came after number 7 would never see number 6.
        """
        await self._session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended('jobs.logs/' || current_schema(), 0))")
        )
        previous = await self.head()
        by_id = {line["log_id"]: line for line in lines}
        columns: dict[str, list[Any]] = {name: [line[name] for line in by_id.values()] for name in _COLUMNS}
        columns["record"] = [json.dumps(record, ensure_ascii=False) for record in columns["record"]]
        added = await self._session.execute(_APPEND, columns)
        return previous, sorted(((seq, by_id[log_id]) for seq, log_id in added), key=itemgetter(0))

    async def head(self) -> int:
        """Return the highest number in the archive; everything up to it is visible."""
        return await self._session.scalar(select(func.max(LogLine.seq))) or 0

    async def read(self, which: ColumnElement[bool], *, after: int, upto: int, limit: int) -> Sequence[LogLine]:
        """Return the lines with numbers above `after` and at most `upto`, in order."""
        query = select(LogLine).where(which, LogLine.seq > after, LogLine.seq <= upto).order_by(LogLine.seq)
        return (await self._session.scalars(query.limit(limit))).all()

    async def before_newest(self, which: ColumnElement[bool], lines: int) -> int:
        """Return the number after which the newest so many lines follow; 0 when there are no more than those."""
        query = select(LogLine.seq).where(which).order_by(LogLine.seq.desc()).offset(lines).limit(1)
        return await self._session.scalar(query) or 0

    async def forget_job(self, job_id: UUID) -> None:
        """Remove the job's lines."""
        await self._session.execute(
            delete(LogLine).where(LogLine.job_id == job_id), execution_options={"synchronize_session": False}
        )

    async def prune(self, kind: Kind, *, older_than: timedelta, keep: int, batch: int) -> int:
        """Remove, of a kind's `batch` oldest lines, those older than this or surplus to `keep`; return how many."""
        surplus = await self.before_newest(LogLine.kind == kind, keep)
        oldest = select(LogLine.seq).where(LogLine.kind == kind).order_by(LogLine.seq).limit(batch)
        # Lines are received in the order of their numbers, so nothing older hides behind the oldest.
        gone = (LogLine.received_at < func.now() - older_than) | (LogLine.seq <= surplus)
        statement = delete(LogLine).where(LogLine.seq.in_(oldest), gone).returning(LogLine.seq)
        removed = await self._session.scalars(statement, execution_options={"synchronize_session": False})
        return len(removed.all())
