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

from jobs.tables import LogRecord

_COLUMNS = ("kind", "service", "job_id", "log_id", "record")
# One statement for any number of records: a list of values would be another prepared statement for each length.
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
    """Kind of a log record; each kind has its own retention."""

    JOB = "job"
    ACCESS = "access"
    SYSTEM = "system"


def of_job(job_id: UUID) -> ColumnElement[bool]:
    """Records of all services about a job."""
    return LogRecord.job_id == job_id


def of_service(service: str) -> ColumnElement[bool]:
    """All records of one service."""
    return LogRecord.service == service


def of_access() -> ColumnElement[bool]:
    """Records of HTTP requests and WebSockets."""
    return LogRecord.kind == Kind.ACCESS


def of_system() -> ColumnElement[bool]:
    """Records of all services, with or without a job, except those of HTTP requests."""
    return LogRecord.kind != Kind.ACCESS


class LogRepository:
    """Appends log records in an order that readers can follow without gaps."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def append(self, records: Sequence[dict[str, Any]]) -> tuple[int, list[tuple[int, dict[str, Any]]]]:
        """Write records (kind, service, job_id, log_id, record); those already archived are skipped.

        Returns the highest number before, and the new records with their numbers, in order. Writers hold a lock: the
        numbers of two concurrent transactions could become visible in the wrong order, and a reader that asks for
        records after number 7 would miss number 6.
        """
        await self._session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended('jobs.logs/' || current_schema(), 0))")
        )
        previous = await self.head()
        by_id = {record["log_id"]: record for record in records}
        columns: dict[str, list[Any]] = {name: [record[name] for record in by_id.values()] for name in _COLUMNS}
        columns["record"] = [json.dumps(record, ensure_ascii=False) for record in columns["record"]]
        added = await self._session.execute(_APPEND, columns)
        return previous, sorted(((seq, by_id[log_id]) for seq, log_id in added), key=itemgetter(0))

    async def head(self) -> int:
        """Return the highest number in the archive; everything up to it is visible."""
        return await self._session.scalar(select(func.max(LogRecord.seq))) or 0

    async def read(self, which: ColumnElement[bool], *, after: int, upto: int, limit: int) -> Sequence[LogRecord]:
        """Return the records with numbers above `after` and at most `upto`, in order."""
        query = select(LogRecord).where(which, LogRecord.seq > after, LogRecord.seq <= upto).order_by(LogRecord.seq)
        return (await self._session.scalars(query.limit(limit))).all()

    async def before_newest(self, which: ColumnElement[bool], count: int) -> int:
        """Return the number before the newest `count` records; 0 if there are no more than those."""
        query = select(LogRecord.seq).where(which).order_by(LogRecord.seq.desc()).offset(count).limit(1)
        return await self._session.scalar(query) or 0

    async def delete_of_job(self, job_id: UUID) -> None:
        """Remove the records about a job."""
        await self._session.execute(
            delete(LogRecord).where(LogRecord.job_id == job_id), execution_options={"synchronize_session": False}
        )

    async def prune(self, kind: Kind, *, older_than: timedelta, keep: int, batch: int) -> int:
        """Remove, of a kind's `batch` oldest records, those older than this or in excess of `keep`; return how many."""
        surplus = await self.before_newest(LogRecord.kind == kind, keep)
        oldest = select(LogRecord.seq).where(LogRecord.kind == kind).order_by(LogRecord.seq).limit(batch)
        # Records are received in the order of their numbers, so the oldest have the lowest numbers.
        expired = (LogRecord.received_at < func.now() - older_than) | (LogRecord.seq <= surplus)
        statement = delete(LogRecord).where(LogRecord.seq.in_(oldest), expired).returning(LogRecord.seq)
        removed = await self._session.scalars(statement, execution_options={"synchronize_session": False})
        return len(removed.all())
