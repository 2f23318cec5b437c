"""Queries on the job catalogue."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.database import ring
from jobs.tables import Job

WAKE_DISPATCH = "jobs_dispatch"


class JobRepository:
    """Reads and writes job rows; what a worker reported is written only while its attempt is the current one."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the caller's transaction."""
        self._session = session

    async def add(self, **values: Any) -> Job | None:
        """Insert a job and return it, or None when the id is taken."""
        statement = insert(Job).values(**values).on_conflict_do_nothing(index_elements=[Job.id]).returning(Job)
        return await self._session.scalar(statement)

    async def get(self, job_id: UUID) -> Job | None:
        """Return a job whoever owns it."""
        return await self._session.scalar(select(Job).where(Job.id == job_id))

    async def existing(self, job_ids: Collection[UUID]) -> set[UUID]:
        """Return those of the jobs that there are."""
        return set(await self._session.scalars(select(Job.id).where(Job.id.in_(job_ids))))

    async def first_with(self, owner_id: UUID, sha256: str) -> UUID | None:
        """Return the owner's oldest job with this recording, which stays until the transaction ends."""
        query = (
            select(Job.id)
            .where(Job.owner_id == owner_id, Job.sha256 == sha256)
            .order_by(Job.created_at)
            .limit(1)
            .with_for_update(read=True, key_share=True)
        )
        return await self._session.scalar(query)

    async def lock(self, job_id: UUID) -> Job | None:
        """Return a job and keep everybody else from changing it until the transaction ends."""
        return await self._session.scalar(
            select(Job).where(Job.id == job_id).with_for_update(), execution_options={"populate_existing": True}
        )

    async def lock_duplicates(self, job_id: UUID) -> None:
        """Lock the jobs that say they are duplicates of this one, before it is locked to be deleted.

        A change of a duplicate may have to look at this job, and the deletion of this job changes its duplicates: in
        the other order the two would wait for each other.
        """
        query = select(Job.id).where(Job.duplicate_of == job_id).order_by(Job.id).with_for_update(key_share=True)
        await self._session.execute(query)

    async def lock_attempt(self, job_id: UUID, attempt: int) -> Job | None:
        """Lock a job if this is its current attempt, else return None."""
        query = select(Job).where(Job.id == job_id, Job.attempt == attempt).with_for_update(key_share=True)
        return await self._session.scalar(query, execution_options={"populate_existing": True})

    async def change(self, job: Job, **values: Any) -> None:
        """Write to the job as it was locked: same attempt, same state."""
        statement = (
            update(Job)
            .where(Job.id == job.id, Job.attempt == job.attempt, Job.state == job.state)
            .values(**values)
            .returning(Job)
        )
        changed = await self._session.scalar(
            statement, execution_options={"populate_existing": True, "synchronize_session": False}
        )
        assert changed is job, "the row was locked, so nobody else can have changed it"

    async def spend(self, job_id: UUID, **costs: float) -> None:
        """Add to what a job has cost, whatever its state; the names are those of the columns."""
        if any(costs.values()):
            added = {getattr(Job, name): getattr(Job, name) + value for name, value in costs.items()}
            statement = update(Job).where(Job.id == job_id).values(added)
            await self._session.execute(statement, execution_options={"synchronize_session": False})

    async def delete(self, job: Job) -> None:
        """Remove the job and its ledger."""
        await self._session.execute(
            delete(Job).where(Job.id == job.id), execution_options={"synchronize_session": False}
        )
        self._session.expunge(job)

    def wake_dispatch(self) -> None:
        """Ring the dispatcher of every replica when this transaction commits."""
        ring(self._session, WAKE_DISPATCH)
