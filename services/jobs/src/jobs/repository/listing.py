"""Queries that list and find jobs."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    Executable,
    Select,
    func,
    literal,
    literal_column,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import DateTime, Double, Text

from jobs import tables
from jobs.schemas.listing import Cursor, ListQuery, SortKey
from jobs.tables import Job

from .search import Found, SearchRepository

_model: ColumnElement[str] = literal_column(str(tables.MODEL), Text)
_SORTS: dict[SortKey, ColumnElement[Any]] = {
    "created_at": Job.created_at.expression,
    "finished_at": literal_column(str(tables.FINISHED), DateTime(timezone=True)),
    "duration": literal_column(str(tables.DURATION), Double),
}
_UNFINISHED = datetime(9999, 12, 31, tzinfo=UTC)
_UNKNOWN = -1.0
# If the words match this share of all jobs, the next so many pages of jobs are searched first, in the order of the
# listing.
_FREQUENT = 0.4
_NEAR = 3


_BITMAPS_ONLY = text("SELECT set_config('enable_indexscan', 'off', true), set_config('enable_seqscan', 'off', true)")


class ListingRepository:
    """Lists jobs; every page reads the index of the requested order from its position on."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def page(
        self, wanted: ListQuery, *, owner_id: UUID | None, limit: int, after: Cursor | None
    ) -> Sequence[Job]:
        """Return jobs of an owner (None: of all owners) after a position in the requested order."""
        key = _SORTS[wanted.sort]
        found = await self._found(wanted)
        query = _narrowed(select(Job), wanted, owner_id)
        if after is not None:
            shown = tuple_(literal(after.value, key.type), literal(after.id))
            here = tuple_(key, Job.id)
            query = query.where(here < shown if wanted.order == "desc" else here > shown)
        turn = (key.desc(), Job.id.desc()) if wanted.order == "desc" else (key.asc(), Job.id.asc())
        query = query.order_by(*turn)
        if found is None:
            return (await self._session.scalars(query.limit(limit))).all()
        if await self._is_frequent(found):
            near = query.with_only_columns(Job.id).limit(_NEAR * limit).subquery()
            few = select(Job).where(Job.id.in_(select(near.c.id)), found.condition).order_by(*turn).limit(limit)
            if len(page := (await self._session.scalars(few)).all()) == limit:
                return page
        await self._plan(found)
        return (await self._session.scalars(query.where(found.condition).limit(limit))).all()

    async def count(self, wanted: ListQuery, *, owner_id: UUID | None, most: int) -> int:
        """Return the number of matching jobs, `most` at most."""
        query = _narrowed(select(literal_column("1")).select_from(Job), wanted, owner_id)
        if (found := await self._found(wanted)) is not None:
            await self._plan(found)
            query = query.where(found.condition)
        fitting = query.limit(most).subquery()
        return await self._session.scalar(select(func.count()).select_from(fitting)) or 0

    async def _found(self, wanted: ListQuery) -> Found | None:
        """Return the condition for the search words; a generic plan would ignore how rare the words are."""
        if wanted.q is not None or wanted.tag is not None:
            await self._session.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
        return None if wanted.q is None else await SearchRepository(self._session).matches(wanted.q)

    async def _plan(self, found: Found) -> None:
        """Make the planner use the indexes of the words, for the rest of the transaction.

        It underestimates the cost of reading a transcript's terms, and would read thousands of rows in the requested
        order until enough of them match.
        """
        if found.by_index:
            await self._session.execute(_BITMAPS_ONLY)

    async def _is_frequent(self, found: Found) -> bool:
        """Whether the database's statistics say that so many jobs match that any order yields a page soon."""
        if not found.by_index:
            return False
        plan = (await self._session.execute(Explained(select(Job.id).where(found.condition)))).scalar_one()
        rows = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]["Plan Rows"]
        known = await self._session.scalar(text("SELECT reltuples FROM pg_class WHERE oid = 'jobs'::regclass")) or 0
        return bool(rows > _FREQUENT * known > 0)


class Explained(Executable, ClauseElement):
    """The database's plan of a query, as JSON."""

    inherit_cache = False

    def __init__(self, query: Select[Any]) -> None:
        self.query = query


@compiles(Explained)
def _explained(element: Explained, compiler: SQLCompiler, **choices: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.query, **choices)}"


def position(job: Job, wanted: ListQuery) -> Cursor:
    """Return the position of a job in the requested order."""
    values: dict[SortKey, datetime | float] = {
        "created_at": job.created_at,
        "finished_at": job.finished_at or _UNFINISHED,
        "duration": _UNKNOWN if job.duration_seconds is None else job.duration_seconds,
    }
    return Cursor(sort=wanted.sort, order=wanted.order, value=values[wanted.sort], id=job.id)


def _narrowed(query: Select[Any], wanted: ListQuery, owner_id: UUID | None) -> Select[Any]:
    conditions: list[ColumnElement[bool]] = []
    if owner_id is not None:
        conditions.append(Job.owner_id == owner_id)
    if len(wanted.state) == 1:
        conditions.append(Job.state == wanted.state[0])
    elif wanted.state:
        conditions.append(Job.state.in_(wanted.state))
    if wanted.created_after is not None:
        conditions.append(Job.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        conditions.append(Job.created_at < wanted.created_before)
    if wanted.model is not None:
        conditions.append(_model == wanted.model)
    if wanted.tag is not None:
        conditions.append(Job.tags.op("@>", is_comparison=True)(literal([wanted.tag], ARRAY(Text))))
    return query.where(*conditions)
