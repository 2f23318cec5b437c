"""Queries that list and find jobs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, literal, literal_column, select, text, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import DateTime, Double, Text

from jobs import tables
from jobs.listing import Cursor, ListQuery, SortKey
from jobs.search import matches
from jobs.tables import Job

_model: ColumnElement[str] = literal_column(str(tables.MODEL), Text)
_SORTS: dict[SortKey, ColumnElement[Any]] = {
    "created_at": Job.created_at.expression,
    "finished_at": literal_column(str(tables.FINISHED), DateTime(timezone=True)),
    "duration": literal_column(str(tables.DURATION), Double),
}
_UNFINISHED = datetime(9999, 12, 31, tzinfo=UTC)
_UNKNOWN = -1.0


class ListingRepository:
    """Finds jobs; the index that fits the order is read from the position on, whatever the page."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the caller's transaction."""
        self._session = session

    async def page(
        self, wanted: ListQuery, *, owner_id: UUID | None, limit: int, after: Cursor | None
    ) -> Sequence[Job]:
        """Return jobs of an owner (None: of everybody) that follow a position in the order wanted."""
        await self._plan_for_these_words(wanted)
        key = _SORTS[wanted.sort]
        query = _narrowed(select(Job), wanted, owner_id)
        if after is not None:
            shown = tuple_(literal(after.value, key.type), literal(after.id))
            here = tuple_(key, Job.id)
            query = query.where(here < shown if wanted.order == "desc" else here > shown)
        if wanted.order == "desc":
            query = query.order_by(key.desc(), Job.id.desc())
        else:
            query = query.order_by(key.asc(), Job.id.asc())
        return (await self._session.scalars(query.limit(limit))).all()

    async def count(self, wanted: ListQuery, *, owner_id: UUID | None, most: int) -> int:
        """Return how many jobs fit; counting ends at `most`."""
        await self._plan_for_these_words(wanted)
        fitting = _narrowed(select(literal_column("1")).select_from(Job), wanted, owner_id).limit(most).subquery()
        return await self._session.scalar(select(func.count()).select_from(fitting)) or 0

    async def _plan_for_these_words(self, wanted: ListQuery) -> None:
        """A plan made for any words would not know that these are rare, or that they are everywhere."""
        if wanted.q is not None or wanted.tag is not None:
            await self._session.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))


def position(job: Job, wanted: ListQuery) -> Cursor:
    """Where a job stands in the order wanted."""
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
    if wanted.q is not None:
        conditions.append(matches(wanted.q))
    return query.where(*conditions)
