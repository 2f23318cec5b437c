"""What was freed: noted before it goes, confirmed after, and told of by the next report."""

from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from sqlalchemy import func, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common.storage import ObjectInfo, ObjectMissing, ObjectStore
from common.storage.parts import UnfinishedObject

from .metrics import DELETED_OBJECTS
from .tables import Freed

_TAKE = text("""
    WITH told AS (DELETE FROM freed WHERE done_at IS NOT NULL RETURNING rule, job_id, objects, bytes)
    SELECT rule, sum(objects)::bigint AS objects, sum(bytes)::bigint AS bytes, count(DISTINCT job_id) AS jobs
    FROM told GROUP BY rule ORDER BY rule
""")


class FreedRepository:
    """Notes on deletions within the caller's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        """Work in the given session; the caller commits."""
        self._session = session

    async def intend(self, rule: str, job_id: UUID, objects: int, size: int) -> None:
        """Note what is about to go.

        An open note is of a run that was killed: it counted everything that was there, and what is left of that is
        found again, so the larger number is the whole.
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
        """What was noted is gone."""
        is_open = (Freed.rule == rule) & (Freed.job_id == job_id) & Freed.done_at.is_(None)
        await self._session.execute(update(Freed).where(is_open).values(done_at=func.now()))

    async def close_all(self, rule: str) -> None:
        """Everything that the rule noted is gone."""
        is_open = (Freed.rule == rule) & Freed.done_at.is_(None)
        await self._session.execute(update(Freed).where(is_open).values(done_at=func.now()))

    async def add(self, rule: str, job_id: UUID) -> None:
        """Note that a rule dealt with a job in this transaction, and that nothing is freed yet."""
        await self._session.execute(
            insert(Freed).values(rule=rule, job_id=job_id, objects=0, bytes=0, done_at=func.now())
        )

    async def take(self) -> dict[str, dict[str, int]]:
        """Return objects, bytes and jobs by rule of all that is gone, and forget it."""
        rows = await self._session.execute(_TAKE)
        return {row.rule: {"objects": row.objects, "bytes": row.bytes, "jobs": row.jobs} for row in rows}


async def freeing(  # noqa: PLR0917 - where, why, whose, what
    sessions: async_sessionmaker[AsyncSession],
    store: ObjectStore,
    rule: str,
    job_id: UUID,
    found: Sequence[ObjectInfo],
    unfinished: Sequence[UnfinishedObject] = (),
) -> None:
    """Delete these objects of a job, noted beforehand; the caller closes the note with what follows from it.

    An unfinished object counts as one; nobody tells how large its parts are.
    """
    if not found and not unfinished:
        return
    async with sessions.begin() as session:
        size = sum(item.size for item in found)
        await FreedRepository(session).intend(rule, job_id, len(found) + len(unfinished), size)
    for item in unfinished:
        with suppress(ObjectMissing):  # its owner may have completed it, or taken it back, this very moment
            await store.parts.abort(item.key, item.upload_id)
    await store.delete_many([item.key for item in found])
    DELETED_OBJECTS.labels(rule).inc(len(found) + len(unfinished))
