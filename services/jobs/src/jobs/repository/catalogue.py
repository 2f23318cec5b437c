"""Queries on the job catalogue."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.database import notify
from jobs.tables import DeadLetter, Job, LogRecord

WAKE_DISPATCH = "jobs_dispatch"


class JobRepository:
    """Reads and writes jobs; a worker's report is written only while its attempt is the current one."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, **values: Any) -> Job | None:
        """Insert a job and return it, or None when the id is taken."""
        statement = insert(Job).values(**values).on_conflict_do_nothing(index_elements=[Job.id]).returning(Job)
        return await self._session.scalar(statement)

    async def get(self, job_id: UUID) -> Job | None:
        """Return a job of any owner."""
        return await self._session.scalar(select(Job).where(Job.id == job_id))

    async def existing(self, job_ids: Collection[UUID]) -> set[UUID]:
        """Return the ids of the jobs that exist."""
        return set(await self._session.scalars(select(Job.id).where(Job.id.in_(job_ids))))

    async def first_with(self, owner_id: UUID, sha256: str) -> UUID | None:
        """Return the owner's oldest job with this recording, locked against deletion until the transaction ends."""
        query = (
            select(Job.id)
            .where(Job.owner_id == owner_id, Job.sha256 == sha256)
            .order_by(Job.created_at)
            .limit(1)
            .with_for_update(read=True, key_share=True)
        )
        return await self._session.scalar(query)

    async def lock(self, job_id: UUID) -> Job | None:
        """Return a job, locked until the transaction ends."""
        return await self._session.scalar(
            select(Job).where(Job.id == job_id).with_for_update(), execution_options={"populate_existing": True}
        )

    async def lock_duplicates(self, job_id: UUID) -> None:
        """Lock the duplicates of a job, before the job itself is locked for its deletion.

        A change of a duplicate may lock this job, and the deletion of this job changes its duplicates: in the other
        order the two transactions would deadlock.
        """
        query = select(Job.id).where(Job.duplicate_of == job_id).order_by(Job.id).with_for_update(key_share=True)
        await self._session.execute(query)

    async def lock_attempt(self, job_id: UUID, attempt: int) -> Job | None:
        """Lock a job if this is its current attempt, else return None."""
        query = select(Job).where(Job.id == job_id, Job.attempt == attempt).with_for_update(key_share=True)
        return await self._session.scalar(query, execution_options={"populate_existing": True})

    async def change(self, job: Job, **values: Any) -> None:
        """Update a locked job, whose attempt and state are those of the object."""
        statement = (
            update(Job)
            .where(Job.id == job.id, Job.attempt == job.attempt, Job.state == job.state)
            .values(**values)
            .returning(Job)
        )
        changed = await self._session.scalar(
            statement, execution_options={"populate_existing": True, "synchronize_session": False}
        )
        assert changed is job, "the row was locked, so no other transaction can have changed it"

    async def spend(self, job_id: UUID, **costs: float) -> None:
        """Add to the costs of a job in any state; the names are those of the columns."""
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

    async def lock_batch(self, which: ColumnElement[bool], limit: int) -> Sequence[Job]:
        """Return some of the jobs that match a condition, locked until the transaction ends."""
        query = select(Job).where(which).order_by(Job.id).limit(limit).with_for_update()
        return (await self._session.scalars(query, execution_options={"populate_existing": True})).all()

    async def delete_batch(self, jobs: Collection[Job]) -> None:
        """Remove locked jobs with their ledgers, log records and dead letters."""
        ids = [job.id for job in jobs]
        for statement in (
            delete(LogRecord).where(LogRecord.job_id.in_(ids)),
            delete(DeadLetter).where(DeadLetter.job_id.in_(ids)),
            delete(Job).where(Job.id.in_(ids)),
        ):
            await self._session.execute(statement, execution_options={"synchronize_session": False})
        await self._session.flush()
        self._session.expunge_all()

    def wake_dispatch(self) -> None:
        """Notify the dispatcher of every replica when this transaction commits."""
        notify(self._session, WAKE_DISPATCH)
