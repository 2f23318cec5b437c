"""Deletion of objects, recorded before they are deleted so that the reports are complete."""

from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from cleanup.metrics import DELETED_OBJECTS
from cleanup.repository.reports import FreedRepository
from common.storage import ObjectInfo, ObjectMissing, ObjectStore
from common.storage.parts import UnfinishedObject


async def freeing(  # noqa: PLR0917 - store, rule, job, objects
    sessions: async_sessionmaker[AsyncSession],
    store: ObjectStore,
    rule: str,
    job_id: UUID,
    found: Sequence[ObjectInfo],
    unfinished: Sequence[UnfinishedObject] = (),
) -> None:
    """Record and delete these objects of a job; the caller closes the record in its own transaction.

    An unfinished upload counts as one object of 0 bytes, because the size of its parts is unknown.
    """
    if not found and not unfinished:
        return
    async with sessions.begin() as session:
        size = sum(item.size for item in found)
        await FreedRepository(session).intend(rule, job_id, len(found) + len(unfinished), size)
    for item in unfinished:
        with suppress(ObjectMissing):  # completed or aborted meanwhile
            await store.parts.abort(item.key, item.upload_id)
    await store.delete_many([item.key for item in found])
    DELETED_OBJECTS.labels(rule).inc(len(found) + len(unfinished))
